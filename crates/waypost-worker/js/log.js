// One line of JSON for everything worth counting: Cloudflare's log explorer and `wrangler tail` both take fields apart.

export function metric(name, fields) {
  console.error(JSON.stringify({ metric: `waypost_${name}`, ...fields }));
}
