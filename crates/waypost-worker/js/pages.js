// Answers with a page: static ones from the engine, and those made for one request. All carry the same few headers.

import { Operation, Page } from "./engine.js";

// The policy of every page, as waypost_core::page has it; the test compares the two.
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'sha256-V9n5KgJUry5qGw2uuclRk5aC92yaYGSVSMzRfkzz04Y='; " +
  "form-action 'self' https: http:; base-uri 'none'; frame-ancestors 'none'";

const MORE_HEADERS = new Map([
  [Page.methodNotAllowed, ["allow", "GET, HEAD"]],
  [Page.unavailable, ["retry-after", "1"]],
  [Page.unlockThrottled, ["retry-after", "60"]],
]);

function answer(request, status, type, text) {
  const headers = {
    "cache-control": "private, no-store",
    "content-type": type,
    // Without an origin of its own, browsers would call the password form foreign.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
  };
  if (type.startsWith("text/html")) headers["content-security-policy"] = CONTENT_SECURITY_POLICY;
  return new Response(request.method === "HEAD" ? null : text, { status, headers });
}

/** A static page, as HTML or as a problem document, as the request prefers. */
export function page(engine, request, number) {
  const shown = engine.run(Operation.showPage, String(number), request.headers.get("accept") ?? "");
  const type = shown.detail === 1 ? "application/problem+json" : "text/html; charset=utf-8";
  const response = answer(request, shown.status, type, shown.text);
  const more = MORE_HEADERS.get(number);
  if (more) response.headers.set(...more);
  return response;
}

/** A page made for this request. */
export function html(request, status, text) {
  return answer(request, status, "text/html; charset=utf-8", text);
}

/** A JSON document. */
export function json(request, status, text) {
  return answer(request, status, status >= 400 ? "application/problem+json" : "application/json", text);
}
