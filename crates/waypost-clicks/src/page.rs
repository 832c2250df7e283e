//! Raw clicks page by page, in the order of days and of counting within a day.

use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;
use waypost_core::id::AccountId;
use waypost_core::visitor::day_of;
use waypost_rollup::ClickFacts;
use waypost_sql::{Columns, Statement};

use crate::blocks::{BlockRow, read_block_row};
use crate::cells::DAY_MAX;
use crate::error::ClicksError;
use crate::raw::Unpacked;
use crate::scopes::LinkScope;
use crate::store::ClickStore;
use crate::tx::ReadTx;
use crate::types::{ClickPage, PAGE_CLICKS_MAX, RawQuery};

/// Blocks that are read with one statement.
const BLOCKS_AT_ONCE: i64 = 4;
/// The most blocks that are looked through for one page.
const BLOCKS_PER_PAGE_MAX: usize = 256;

/// A place between two clicks of an account: all of the days before, and of this day what is before the ordinal, was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    day: i64,
    ordinal: i64,
}

impl Place {
    fn parse(cursor: &str) -> Option<Self> {
        let (day, ordinal) = cursor.strip_prefix("c1.")?.split_once('.')?;
        let place = Self { day: day.parse().ok()?, ordinal: ordinal.parse().ok()? };
        (place.to_text() == cursor && place.ordinal >= 0).then_some(place)
    }

    fn to_text(self) -> String {
        format!("c1.{}.{}", self.day, self.ordinal)
    }
}

/// What a page is filled from.
struct Filter {
    links: Option<Vec<u32>>,
    /// The first and the last microsecond.
    from: i64,
    until: i64,
}

impl ClickStore {
    /// A page of raw clicks.
    ///
    /// # Errors
    /// [`ClicksError::CursorInvalid`] where the cursor is none; and where the database fails. Damaged blocks are passed
    /// over and counted in the page.
    pub async fn raw_clicks(&self, query: &RawQuery) -> Result<ClickPage, ClicksError> {
        let until = query.to.map_or(i64::MAX, |to| to.as_micros().saturating_sub(1));
        let from = query.from.map_or(i64::MIN, Timestamp::as_micros);
        let mut place = match &query.cursor {
            Some(cursor) => Place::parse(cursor).ok_or(ClicksError::CursorInvalid)?,
            None => Place { day: day_of(from), ordinal: 0 },
        };
        let mut page = ClickPage::default();
        let mut tx = self.read("raw_clicks").await?;
        let Some(account) = tx.account_scope(&query.account_id).await? else { return Ok(page) };
        let links = match &query.link_id {
            None => None,
            Some(link_id) => Some(tx.link_scopes(account, link_id).await?.into_iter().map(|(link, _)| link).collect()),
        };
        if links.as_ref().is_some_and(Vec::is_empty) {
            return Ok(page);
        }
        let filter = Filter { links, from, until };
        let limit = query.limit.clamp(1, PAGE_CLICKS_MAX);
        let mut looked_at = 0;
        loop {
            let blocks = tx.blocks_from(account, place, &filter).await?;
            if blocks.is_empty() {
                return Ok(page);
            }
            for (row, body) in &blocks {
                looked_at += 1;
                let place_in_block = match row.day == place.day {
                    true => place.ordinal,
                    false => 0,
                };
                let filled =
                    tx.fill(&mut page, &query.account_id, (row, body), (&filter, place_in_block, limit)).await?;
                place = Place { day: row.day, ordinal: filled };
                if page.events.len() >= limit || looked_at >= BLOCKS_PER_PAGE_MAX {
                    page.next = Some(place.to_text());
                    return Ok(page);
                }
            }
        }
    }
}

impl ReadTx {
    /// The next blocks that hold clicks behind a place.
    async fn blocks_from(
        &mut self,
        account: u32,
        place: Place,
        filter: &Filter,
    ) -> Result<Vec<(BlockRow, Vec<u8>)>, ClicksError> {
        let statement = Statement::new(
            "SELECT day, ordinal, next_ordinal, clicks, body FROM click_blocks
             WHERE account = $1 AND (day, ordinal) >= ($2, coalesce((SELECT max(ordinal) FROM click_blocks
                 WHERE account = $1 AND day = $2 AND ordinal <= $3), 0))
               AND day <= $4 AND NOT (day = $2 AND next_ordinal <= $3) AND last_at >= $5 AND first_at <= $6 AND clicks > 0
             ORDER BY day, ordinal LIMIT $7",
        );
        let statement = statement
            .bind(i64::from(account))
            .bind(place.day)
            .bind(place.ordinal)
            .bind(day_of(filter.until).min(DAY_MAX))
            .bind(filter.from)
            .bind(filter.until)
            .bind(BLOCKS_AT_ONCE);
        let rows = self.fetch_all(statement).await?;
        let read = |row| Ok((read_block_row(row)?, Columns::new(row, "block of clicks").get("body")?));
        rows.iter().map(read).collect()
    }

    /// Adds a block's clicks from an ordinal on to a page. Gives the ordinal from which the next page goes on.
    async fn fill(
        &mut self,
        page: &mut ClickPage,
        account_id: &AccountId,
        (row, body): (&BlockRow, &[u8]),
        (filter, from, limit): (&Filter, i64, usize),
    ) -> Result<i64, ClicksError> {
        let damaged = |page: &mut ClickPage| {
            tracing::error!(click.day = row.day, click.ordinal = row.ordinal, "a block of raw clicks is damaged");
            page.damaged += row.clicks.unsigned_abs();
            Ok(row.next_ordinal)
        };
        let Ok(unpacked) = Unpacked::new(body) else { return damaged(page) };
        let is_wanted = |link: u32| filter.links.as_ref().is_none_or(|links| links.contains(&link));
        if !unpacked.links().iter().any(|&link| is_wanted(link)) {
            return Ok(row.next_ordinal);
        }
        let Ok(block) = unpacked.read() else { return damaged(page) };
        let mut wanted = Vec::new();
        let mut next = row.next_ordinal;
        for index in 0..block.clicks() {
            let ordinal = row.ordinal + block.ordinal(index).cast_signed();
            let micros = block.micros(index);
            if ordinal < from || !is_wanted(block.link(index)) || micros < filter.from || micros > filter.until {
                continue;
            }
            if page.events.len() + wanted.len() == limit {
                next = ordinal;
                break;
            }
            wanted.push(index);
        }
        let mut links: Vec<u32> = wanted.iter().map(|&index| block.link(index)).collect();
        links.sort_unstable();
        links.dedup();
        let scopes = self.read_link_scopes(&links).await?;
        for index in wanted {
            match scopes.get(&block.link(index)) {
                Some(scope) => page.events.push(event(&block.click(index), account_id, scope)),
                None => page.damaged += 1,
            }
        }
        Ok(next)
    }
}

/// A click as people and programs read it.
fn event(click: &ClickFacts<'_>, account_id: &AccountId, scope: &LinkScope) -> ClickEvent {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let [utm_source, utm_medium, utm_campaign, utm_term, utm_content] = click.utm.map(known);
    ClickEvent {
        event_id: uuid::Uuid::from_bytes(click.event_id).hyphenated().to_string(),
        edge_id: click.edge_id.to_owned(),
        epoch: (click.epoch > 0).then_some(click.epoch),
        sequence: (click.sequence > 0).then_some(click.sequence),
        link_id: scope.link_id.clone(),
        account_id: account_id.as_str().to_owned(),
        domain: scope.domain.clone(),
        slug: click.slug.to_owned(),
        clicked_at: Some(click.clicked_at),
        ip_address: click.address.map(|address| address.to_string()),
        visitor: click.visitor.map(|visitor| format!("{visitor:016x}")),
        user_agent: click.user_agent.to_owned(),
        referrer: click.referrer.to_owned(),
        country_code: click.country.map(|letters| letters.map(char::from).iter().collect()).unwrap_or_default(),
        device_type: click.device.name().to_owned(),
        os: click.os.name().to_owned(),
        browser: click.browser.to_owned(),
        class: click.class.name().to_owned(),
        class_reason: click.class_reason.to_owned(),
        channel: click.channel.name().to_owned(),
        language: click.language.to_owned(),
        source: click.source.name().to_owned(),
        rule_id: known(click.rule_id),
        ab_test_id: known(click.ab_test_id),
        ab_variant_id: known(click.variant_id),
        utm_source,
        utm_medium,
        utm_campaign,
        utm_term,
        utm_content,
        status: click.status,
    }
}
