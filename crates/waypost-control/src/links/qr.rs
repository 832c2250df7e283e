//! QR codes of links, and the logo that an account has in them. A code says the short URL of its link and nothing else.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use waypost_api::qr::{GetQr, QrLogo};
use waypost_api::{FieldError, ProblemCode};
use waypost_core::decide::{Action, decide};
use waypost_core::id::AccountId;
use waypost_core::query::SCAN_MARK;
use waypost_core::slug::without_qr_ending;
use waypost_core::{CompactLink, Visit, compact};
use waypost_qr::{Logo, LogoError, StyleError, draw};
use waypost_store::Link;

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

/// How long an image waits for its turn to be drawn.
const DRAWING_WAIT_MAX: Duration = Duration::from_secs(2);

/// What becomes of a request for the QR code at the public address of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicQr {
    /// There is no such link, or none that may be known of.
    NotFound,
    /// The link has ended.
    Gone,
    /// The image.
    Found(Vec<u8>),
}

impl App {
    /// The QR code of the caller's link with this id, whatever its state.
    ///
    /// # Errors
    /// Where there is no such link, scanners could not read the code, or the database fails.
    pub async fn link_qr(&self, caller: &Caller, id: &str, asked: GetQr) -> Result<Vec<u8>, Problem> {
        caller.may(Operation::ReadLinks)?;
        let link = self.stored_link(caller, id).await?;
        self.draw_qr(&link, asked).await
    }

    /// The QR code of the link that this host and path, with the ending of a QR code, stand for. A link is as visible here as to
    /// visitors; whether it has a password does not matter, because the code does not say where it leads.
    ///
    /// # Errors
    /// Where scanners could not read the code, so many are asked for that this one had no turn, or the database fails.
    pub async fn public_qr(&self, host: Option<&str>, path: &str, asked: GetQr) -> Result<PublicQr, Problem> {
        let Some((before, _)) = without_qr_ending(path) else { return Ok(PublicQr::NotFound) };
        // A link whose own slug ends so wins, also where it is disabled.
        if self.public_link(host, path).await?.is_some() {
            return Ok(PublicQr::NotFound);
        }
        let Some(link) = self.public_link(host, before).await? else { return Ok(PublicQr::NotFound) };
        match self.action_for_visitors(&link)? {
            Action::NotFound | Action::MethodNotAllowed => Ok(PublicQr::NotFound),
            Action::Gone => Ok(PublicQr::Gone),
            Action::Redirect | Action::Unlock => Ok(PublicQr::Found(self.draw_qr(&link, asked).await?)),
        }
    }

    fn action_for_visitors(&self, link: &Link) -> Result<Action, Problem> {
        let failed = |error: &dyn std::fmt::Display| Problem::internal("reading a link for its QR code", error);
        let compact = compact::compile_stored(&link.record, self.schemes(), &mut Vec::new());
        let compact = compact.map_err(|error| failed(&error))?;
        let compact = CompactLink::read(&compact).map_err(|error| failed(&error))?;
        Ok(decide(&compact, &Visit::at(waypost_jobs::now())).map_err(|error| failed(&error))?.action)
    }

    async fn draw_qr(&self, link: &Link, asked: GetQr) -> Result<Vec<u8>, Problem> {
        let short_url = self.short_url(&link.host, &link.slug);
        let url = if asked.is_marked { format!("{short_url}?{SCAN_MARK}") } else { short_url };
        let logo = if asked.has_logo == Some(false) { None } else { self.stored_logo(&link.account_id).await? };
        if logo.is_none() && asked.has_logo == Some(true) {
            let wanted = "left out or false: the account has no logo; PUT /api/v1/account/qr-logo stores one";
            return Err(Problem::of_fields(vec![FieldError::invalid("logo", wanted)]));
        }
        let drawn = self.in_turn(move || {
            let logo = logo.map(|png| Logo::read(&png)).transpose();
            logo.map(|logo| draw(&url, asked.format, &asked.style, logo.as_ref()))
        });
        let drawn = drawn.await?.map_err(|error| Problem::internal("reading a stored logo", &error))?;
        drawn.map_err(|error| of_style(&error))
    }

    async fn stored_logo(&self, account_id: &AccountId) -> Result<Option<Vec<u8>>, Problem> {
        Ok(self.store.read("get_qr_logo").await?.get_qr_logo(account_id).await?)
    }

    /// The logo in the QR codes of the caller's links, as PNG.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn qr_logo(&self, caller: &Caller) -> Result<Vec<u8>, Problem> {
        caller.may(Operation::ReadLinks)?;
        self.stored_logo(&caller.account_id).await?.ok_or_else(|| Problem::not_found("logo"))
    }

    /// Sets the logo in the QR codes of the caller's links. What is kept are the pixels of this PNG, written anew.
    ///
    /// # Errors
    /// Where it is not a PNG or too large, or the database fails.
    pub async fn set_qr_logo(&self, caller: &Caller, file: Vec<u8>) -> Result<QrLogo, Problem> {
        caller.may(Operation::SetQrLogo)?;
        caller.require_whole_account()?;
        let read = self.in_turn(move || Logo::read(&file).map(|logo| (logo.to_png(), logo.width(), logo.height())));
        let (png, width, height) = read.await?.map_err(|error| of_logo(&error))?;
        let mut tx = self.store.begin("set_qr_logo").await?;
        tx.set_qr_logo(&caller.account_id, &png).await?;
        let logo = QrLogo { width, height, bytes: png.len() };
        caller.record(&mut tx, Operation::SetQrLogo, Changed::done(None, &logo)).await?;
        tx.commit().await?;
        Ok(logo)
    }

    /// Deletes the logo in the QR codes of the caller's links.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn delete_qr_logo(&self, caller: &Caller) -> Result<(), Problem> {
        caller.may(Operation::DeleteQrLogo)?;
        caller.require_whole_account()?;
        let mut tx = self.store.begin("delete_qr_logo").await?;
        if !tx.delete_qr_logo(&caller.account_id).await? {
            return Err(Problem::not_found("logo"));
        }
        caller.record(&mut tx, Operation::DeleteQrLogo, Changed::default()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Runs what takes a while on a thread for that. Few do at one time: anyone may ask for images, and each takes memory.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let turn = timeout(DRAWING_WAIT_MAX, self.drawings.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Problem::new(ProblemCode::Busy, "too many images are being drawn just now").retry_after(1));
        };
        spawn_blocking(work).await.map_err(|error| Problem::internal("drawing a QR code", &error))
    }
}

fn of_style(error: &StyleError) -> Problem {
    let (field, detail) = (error.field().to_owned(), error.to_string());
    Problem::of_fields(vec![FieldError { field, code: ProblemCode::InvalidField, detail }])
}

fn of_logo(error: &LogoError) -> Problem {
    Problem::new(ProblemCode::InvalidField, error.to_string())
}
