//! Writes the request that would produce a click.

use waypost_core::click::Click;

/// Writes the request of this click behind what `out` holds: a head without body, on a connection that stays open. The
/// country goes into `CF-IPCountry` and the address into `X-Forwarded-For`, which a server reads from proxies it
/// trusts.
pub fn write_request(click: &Click<'_>, host: &str, out: &mut Vec<u8>) {
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    put(&[if click.is_head { "HEAD" } else { "GET" }, " /", &click.slug, " HTTP/1.1\r\nHost: ", host, "\r\n"]);
    let country = click.country.unwrap_or_default();
    let fields = [
        ("User-Agent", click.user_agent.as_ref()),
        ("Referer", click.referrer.as_ref()),
        ("Accept-Language", click.accept_language.as_ref()),
        ("Sec-Purpose", click.purpose.as_ref()),
        ("CF-IPCountry", if click.country.is_some() { str::from_utf8(&country).unwrap_or_default() } else { "" }),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        put(&[name, ": ", value, "\r\n"]);
    }
    if let Some(address) = click.address {
        put(&["X-Forwarded-For: ", &address.to_string(), "\r\n"]);
    }
    put(&["\r\n"]);
}
