//! Pages for people. Each is a template with its own type; all text in them is escaped.

pub(crate) mod reference;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use waypost_api::ProblemCode;
use waypost_api::short_url::ShortUrl;
use waypost_control::{FoundLink, Problem};

use crate::answer::{Refusal, status_of};
use crate::assets::{ASSETS, AssetPaths};

/// Nothing from elsewhere, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The unlock form leads to the link's destination in the end, and browsers hold redirects of a form to its policy.
const UNLOCK_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https: http:; \
     base-uri 'none'; frame-ancestors 'none'";

/// `/`: the form, what went wrong, what came out.
#[derive(Template)]
#[template(path = "landing.html")]
struct Landing<'a> {
    assets: &'static AssetPaths,
    /// Whether anyone may create links.
    form: bool,
    value: &'a str,
    error: Option<&'a str>,
    result: Option<&'a ShortUrl>,
    short_url: &'a str,
    short_text: &'a str,
    original_url: &'a str,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage<'a> {
    assets: &'static AssetPaths,
    link: &'a FoundLink,
    short_text: &'a str,
    created_on: &'a str,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    assets: &'static AssetPaths,
    status: &'a str,
    heading: &'a str,
    text: &'a str,
}

#[derive(Template)]
#[template(path = "unlock.html")]
struct UnlockPage<'a> {
    assets: &'static AssetPaths,
    fault: &'a str,
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    assets: &'static AssetPaths,
    problems: &'static [ProblemCode],
}

/// The landing page as it is first seen.
pub(crate) fn landing(form: bool) -> Response {
    landing_with(StatusCode::OK, form, "", None, None)
}

/// The landing page with a short link.
pub(crate) fn landing_result(result: &ShortUrl) -> Response {
    landing_with(StatusCode::OK, true, &result.original_url, None, Some(result))
}

/// The landing page with what was typed and what is wrong with it.
pub(crate) fn landing_fault(problem: &Problem, typed: &str) -> Response {
    let form = problem.code() != ProblemCode::AnonymousLinksOff;
    let mut response = landing_with(status_of(problem), form, typed, Some(problem.detail()), None);
    put_retry_after(&mut response, problem.retry_after_s());
    response
}

fn landing_with(
    status: StatusCode,
    form: bool,
    value: &str,
    error: Option<&str>,
    result: Option<&ShortUrl>,
) -> Response {
    let short_url = result.map_or("", |result| &result.short_url);
    let page = Landing {
        assets: &ASSETS,
        form,
        value,
        error,
        result,
        short_url,
        short_text: without_scheme(short_url),
        original_url: result.map_or("", |result| &result.original_url),
    };
    html(status, &page, POLICY)
}

/// Where a link leads.
pub(crate) fn preview(link: &FoundLink) -> Response {
    let created_at = link.created_at.to_string();
    let created_on = created_at.split('T').next().unwrap_or(&created_at);
    let short_text = without_scheme(&link.short_url);
    html(StatusCode::OK, &PreviewPage { assets: &ASSETS, link, short_text, created_on }, POLICY)
}

/// 404 for people.
pub(crate) fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "There is no link here", "Check the address for a typing mistake.")
}

/// 410 for people.
pub(crate) fn gone() -> Response {
    message(StatusCode::GONE, "This link has expired", "It no longer redirects.")
}

/// Any other problem for people.
pub(crate) fn problem(problem: &Problem) -> Response {
    let mut response = message(status_of(problem), problem.code().title(), problem.detail());
    put_retry_after(&mut response, problem.retry_after_s());
    response
}

/// The unlock form again, after a wrong password.
pub(crate) fn unlock_refused() -> Response {
    let page = UnlockPage { assets: &ASSETS, fault: "That password is wrong." };
    html(StatusCode::UNAUTHORIZED, &page, UNLOCK_POLICY)
}

/// The unlock form again, after too many passwords.
pub(crate) fn unlock_throttled(seconds: u32) -> Response {
    let fault = format!("Too many attempts. Try again in {seconds} s.");
    let mut response =
        html(StatusCode::TOO_MANY_REQUESTS, &UnlockPage { assets: &ASSETS, fault: &fault }, UNLOCK_POLICY);
    put_retry_after(&mut response, Some(seconds));
    response
}

/// The catalogue of problems, which their types refer to.
pub(crate) fn problems() -> Response {
    html(StatusCode::OK, &ProblemsPage { assets: &ASSETS, problems: ProblemCode::ALL }, POLICY)
}

fn message(status: StatusCode, heading: &str, text: &str) -> Response {
    html(status, &Message { assets: &ASSETS, status: status.as_str(), heading, text }, POLICY)
}

fn html(status: StatusCode, page: &impl Template, policy: &'static str) -> Response {
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => return Refusal::from(Problem::internal("rendering a page", &error)).into_response(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // Without an origin of their own, browsers would call the forms of these pages foreign.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, headers, body).into_response()
}

fn put_retry_after(response: &mut Response, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}
