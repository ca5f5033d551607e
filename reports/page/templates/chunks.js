/* Unpacks the page's chunks: base64 of gzip of JSON, each once, as reports/page/examples.py packs them. */

const GENERATION_FIELDS = [
  "text", "outcome", "value", "answer", "detail", "finish", "tokens", "error", "run", "index",
];
const unpacked = new Map();

function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, inflate(document.getElementById(id).textContent));
  return unpacked.get(id);
}

async function inflate(base64) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64) : decodeBase64(base64);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function decodeBase64(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function forget(prefix) {
  for (const id of unpacked.keys()) if (id.startsWith(prefix)) unpacked.delete(id);
}

function asGeneration(row) {
  return Object.fromEntries(GENERATION_FIELDS.map((name, position) => [name, row[position]]));
}
