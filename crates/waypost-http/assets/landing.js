// Shortens without leaving the page. Without this script the form posts to the server, which answers the same page.
"use strict";
(() => {
  const form = document.querySelector("[data-shorten]");
  const result = document.querySelector("[data-result]");
  if (!form || !result || !window.fetch) return;
  const field = form.elements.originalUrl;
  const button = form.querySelector("button");
  const fault = document.getElementById("fault");
  const short = result.querySelector("[data-short]");
  const copy = result.querySelector("[data-copy]");

  const withoutScheme = (url) => url.replace(/^https?:\/\//, "");

  const showFault = (text) => {
    fault.textContent = text;
    fault.hidden = !text;
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  };

  const showResult = (link) => {
    short.href = link.shortUrl;
    short.textContent = withoutScheme(link.shortUrl);
    result.querySelector("[data-long]").textContent = link.originalUrl;
    result.querySelector("[data-preview]").href = link.shortUrl + "+";
    copy.textContent = "Copy";
    result.hidden = false;
    result.scrollIntoView({ block: "nearest" });
  };

  const shorten = async () => {
    const response = await fetch("/api/url", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ originalUrl: field.value.trim() }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail || answer.title);
    return answer;
  };

  // The Clipboard API needs a secure page and may be denied; selecting and copying works on plain HTTP too.
  const copyText = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const holder = document.createElement("textarea");
      holder.value = text;
      holder.readOnly = true;
      document.body.append(holder);
      holder.select();
      const done = document.execCommand("copy");
      holder.remove();
      if (!done) throw new Error("not copied");
    }
  };

  // The server's own words are clearer than the browser's.
  form.noValidate = true;
  copy.hidden = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    showFault("");
    result.hidden = true;
    button.disabled = true;
    try {
      showResult(await shorten());
    } catch (error) {
      const offline = error instanceof TypeError || error instanceof SyntaxError;
      showFault(offline ? "The server cannot be reached. Try again in a moment." : error.message);
      field.focus();
    } finally {
      button.disabled = false;
    }
  });

  copy.addEventListener("click", async () => {
    try {
      await copyText(short.href);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(short);
      copy.textContent = "Press Ctrl+C";
    }
  });
})();
