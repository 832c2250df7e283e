//! What made-up clicks must be like.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use waypost_core::class::{Class, classify};
use waypost_core::query::UTM_NAMES;
use waypost_core::visit::Method;
use waypost_core::{Slug, Visit};

use super::*;

fn world(seed: u64) -> ClickWorld {
    ClickWorld::new(ClickWorldOptions { seed, links: 500, visitors: 20_000, days: 14, ..Default::default() })
}

#[test]
fn the_same_seed_gives_the_same_clicks() {
    let bytes = |seed| {
        let (world, mut out, mut all) = (world(seed), Vec::new(), Vec::new());
        for click in world.clicks(300) {
            click.write(&mut out);
            all.extend_from_slice(&out);
        }
        all
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn clicks_are_whole_and_in_order() {
    let world = world(3);
    let (mut last, mut count, mut out) = (Timestamp::from_micros(0), 0, Vec::new());
    for click in world.clicks(5_000) {
        assert!(click.clicked_at >= last, "{click:?}");
        last = click.clicked_at;
        click.write(&mut out);
        assert_eq!(Click::read(&out).as_ref(), Ok(&click), "nothing is too long or of a wrong form");
        click.link_id.parse::<LinkId>().unwrap();
        click.account_id.parse::<AccountId>().unwrap();
        count += 1;
    }
    assert_eq!(count, 5_000);
    let last_day = day_of(last.as_micros()) - day_of(world.options.starts_at.as_micros());
    assert_eq!(last_day, 13);
}

#[test]
fn links_have_slugs_of_their_own() {
    let world = world(4);
    let slugs: HashSet<&str> = world.links().iter().map(|link| link.slug.as_str()).collect();
    assert_eq!(slugs.len(), 500);
    for slug in slugs {
        Slug::parse(slug).unwrap();
    }
}

#[test]
fn shares_are_as_given() {
    let world = world(5);
    let mut links: HashMap<String, u32> = HashMap::new();
    let mut classes: HashMap<Class, u32> = HashMap::new();
    let (mut visitors, mut utm, mut night, mut noon) = (HashSet::new(), 0, 0, 0);
    for (place, click) in world.clicks(50_000).enumerate() {
        *links.entry(click.link_id.to_string()).or_default() += 1;
        let method = if click.is_head { Method::Head } else { Method::Get };
        let purpose = Some(click.purpose.as_ref()).filter(|purpose| !purpose.is_empty());
        let user_agent = Some(click.user_agent.as_ref());
        // Reading a user agent is slow in a debug build.
        if place.is_multiple_of(20) {
            let visit = Visit { method, purpose, user_agent, ..Visit::at(click.clicked_at) };
            *classes.entry(classify(&visit).class).or_default() += 20;
        }
        visitors.insert(click.visitor);
        utm += u32::from(UTM_NAMES.iter().any(|name| click.utm.contains(name)));
        let hour = click.clicked_at.as_micros().rem_euclid(24 * HOUR_MICROS) / HOUR_MICROS;
        night += u32::from(hour == 3);
        noon += u32::from(hour == 13);
    }
    let of = |class| classes.get(&class).copied().unwrap_or_default();
    assert!((42_000..47_500).contains(&of(Class::Human)), "{classes:?}");
    for class in [Class::Bot, Class::Preview, Class::Prefetch, Class::Head] {
        assert!((100..5_000).contains(&of(class)), "{classes:?}");
    }
    // Zipf over 500 links: the first has 1 / H(500) = 14.7 % of the clicks.
    let first = links[&world.links()[0].link_id];
    assert!((6_900..7_900).contains(&first), "{first}");
    assert!(links.len() > 480, "{}", links.len());
    assert!((5_000..40_000).contains(&visitors.len()), "{}", visitors.len());
    assert!((10_000..40_000).contains(&utm), "{utm}");
    assert!(noon > night * 3 / 2, "{noon} at noon, {night} at night");
}

#[test]
fn there_are_hundreds_of_user_agents() {
    assert!(world(1).user_agents() > 400);
    for line in USER_AGENTS.lines().filter(|line| !line.starts_with('#')) {
        assert!(read_agent(line).is_some(), "{line:?}");
    }
}

#[test]
fn a_click_is_a_request() {
    let world = world(6);
    let mut click = world.clicks(1).next().unwrap();
    click.slug = "abc".into();
    click.is_head = false;
    click.country = Some(*b"AT");
    click.user_agent = "UA/1".into();
    click.accept_language = "de".into();
    click.referrer = "".into();
    click.purpose = "".into();
    click.address = Some("192.0.2.1".parse().unwrap());
    let mut out = Vec::new();
    write_request(&click, "h:1", &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET /abc HTTP/1.1\r\nHost: h:1\r\nUser-Agent: UA/1\r\nAccept-Language: de\r\nCF-IPCountry: AT\r\n\
         X-Forwarded-For: 192.0.2.1\r\n\r\n"
    );
}
