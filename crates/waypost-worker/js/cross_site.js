// Forms that a page of another site has a browser send: refused where what comes of it is kept in the browser, or counts
// against its address. Browsers say where a request comes from; what says nothing is no browser.

const DETAIL = "A page of another site has sent this form. Open the short link itself, and send it from there.\n";

/** Whether a page of another site has sent this. */
export function isCrossSite(request) {
  const site = request.headers.get("sec-fetch-site");
  if (site === "same-origin" || site === "none") return false;
  const origin = request.headers.get("origin");
  if (origin === null) return site !== null;
  return origin !== new URL(request.url).origin;
}

/** The answer to such a form. */
export function crossSite() {
  const headers = { "cache-control": "private, no-store", "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
  return new Response(DETAIL, { status: 403, headers });
}

/** Lets pages of every site read this answer: `POST /api/url` is open to all of them. */
export function openToPages(response) {
  response.headers.set("access-control-allow-origin", "*");
  response.headers.set("access-control-expose-headers", "retry-after");
  return response;
}

/** The answer to a browser that asks whether a page may call `POST /api/url`; `undefined` where this is no such question. */
export function preflight(request) {
  const asks = request.method === "OPTIONS" && request.headers.has("origin") && request.headers.has("access-control-request-method");
  if (!asks) return undefined;
  const headers = { "access-control-allow-methods": "POST", "access-control-allow-headers": "content-type", "access-control-max-age": "3600" };
  return openToPages(new Response(null, { status: 204, headers }));
}
