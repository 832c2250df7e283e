//! Opening the live feed. Listeners and slow readers are handled in `feeds.rs`.

use tokio::sync::mpsc;
use waypost_api::clicks::FollowClicks;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::clicks::feeds::{FeedEvent, WantedClicks};
use crate::problem::Problem;

impl App {
    /// A live feed of the caller's clicks. It ends when the receiver is dropped or the feeds close.
    ///
    /// # Errors
    /// Where there never was such a link, or too many listen already.
    pub async fn follow_clicks(
        &self,
        caller: &Caller,
        asked: FollowClicks,
    ) -> Result<mpsc::Receiver<FeedEvent>, Problem> {
        caller.may(Operation::ReadClicks)?;
        let link_id = match &asked.link_id {
            Some(id) => Some(self.known_link_id(caller, id).await?),
            None => {
                caller.require_whole_account()?;
                None
            }
        };
        let wanted = WantedClicks { account_id: caller.account_id.clone(), link_id, classes: asked.classes };
        self.feeds.open(wanted, self.clicks.subscribe())
    }

    /// Ends all live feeds, which would otherwise hold up a stop for as long as somebody listens.
    pub fn close_feeds(&self) {
        self.feeds.close();
    }
}
