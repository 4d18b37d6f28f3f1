// @ts-check
/** What is asked of servers: TensorFlow Serving's REST API, and the studio. */
import { flat, quantile } from "./numbers.js";

/** @typedef {{dtype: string, shape: (number|null)[]|null, low?: number|null, high?: number|null, names?: string[]|null}} Tensor */
/** @typedef {{inputs: Record<string, Tensor>, outputs: Record<string, Tensor>}} Signature */
/** @typedef {{data: Float32Array, shape: number[]}} Values */

export class ServerError extends Error {}

/** Times of the last requests to models, in milliseconds. */
export const times = /** @type {number[]} */ ([]);

export function latency() {
  return times.length ? { p50: quantile(times, 0.5), p95: quantile(times, 0.95), count: times.length } : null;
}

const HELP = /** @type {Record<number, string>} */ ({
  404: "Has the server such a model and version?",
  413: "Ask for fewer or smaller images.",
  429: "The server is busy; try again.",
  502: "Start the model server, or the studio with another --serving.",
  503: "The model is being loaded or was unloaded; try again in a moment.",
  504: "It takes longer than the server allows; ask for fewer images.",
});

/**
 * @param {string} path @param {any} [body] @param {AbortSignal} [signal] @returns {Promise<Response>}
 */
export async function ask(path, body, signal) {
  let reply;
  try {
    reply = await fetch(path, body === undefined ? { signal } : { method: "POST", body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServerError("The studio does not answer. Is `tfgen studio` still running?");
  }
  if (reply.ok) return reply;
  const text = await reply.text();
  let said = text.slice(0, 500);
  try {
    said = JSON.parse(text).error ?? said;
  } catch {
    // not the JSON of TensorFlow Serving, such as the page of a gateway
  }
  const failed = /^assertion failed: \[(.*)\]/s.exec(said); // as TensorFlow has it: [text] [value] [value]
  if (failed) said = failed[1].replaceAll("] [", " ");
  throw new ServerError(`${said || `Status ${reply.status}`} ${HELP[reply.status] ?? ""}`.trim());
}

/** @param {any} info @returns {Tensor} */
function tensor(info) {
  const names = /** @type {Record<string, string>} */ ({ DT_FLOAT: "float32", DT_DOUBLE: "float64", DT_HALF: "float16" });
  const dims = info.tensor_shape?.unknown_rank ? null : (info.tensor_shape?.dim ?? []);
  return {
    dtype: names[info.dtype] ?? String(info.dtype).replace("DT_", "").toLowerCase(),
    shape: dims && dims.map((/** @type {any} */ one) => (Number(one.size) < 0 ? null : Number(one.size))),
  };
}

/** A served model, by what it says of itself. */
export class Model {
  /** @param {string} name @param {string} version @param {Record<string, Signature>} signatures @param {any} card */
  constructor(name, version, signatures, card) {
    this.name = name;
    this.version = version;
    this.signatures = signatures;
    this.card = card;
    const spec = (/** @type {string} */ kind) =>
      Object.values(signatures).map((one) => /** @type {any} */ (one)[kind].image).find((one) => one?.shape?.length === 4);
    /** @type {number[]} [height, width, channels] */
    this.shape = card?.image_shape ?? (spec("outputs") ?? spec("inputs"))?.shape.slice(1) ?? [28, 28, 1];
    this.shape = this.shape.map((n) => n ?? 128); // of a model that takes any size
    const labels = Object.values(signatures).map((one) => one.inputs.labels).find(Boolean);
    /** @type {string[]} names of the classes that images can be asked for */
    this.classes = [];
    if (labels) {
      const known = labels.names ?? card?.classes?.names;
      const count = known?.length ?? card?.classes?.count ?? (labels.high ?? 9) + 1;
      this.classes = known ?? Array.from({ length: count }, (_, i) => String(i));
    }
  }

  /** @param {string} name @param {AbortSignal} [signal] */
  static async load(name, signal) {
    const place = `/v1/models/${encodeURIComponent(name)}`;
    const found = await (await ask(`${place}/metadata`, undefined, signal)).json();
    const said = found.metadata?.signature_def?.signature_def ?? {};
    /** @type {Record<string, Signature>} */
    const signatures = {};
    for (const [key, one] of Object.entries(/** @type {Record<string, any>} */ (said))) {
      if (key.startsWith("__")) continue;
      signatures[key] = { inputs: {}, outputs: {} };
      for (const kind of /** @type {("inputs"|"outputs")[]} */ (["inputs", "outputs"]))
        for (const [input, info] of Object.entries(one[kind] ?? {})) signatures[key][kind][input] = tensor(info);
    }
    let card = null;
    if (signatures.card?.inputs.unused) {
      const body = { signature_name: "card", inputs: { unused: [0] } };
      const reply = await (await ask(`${place}:predict`, body, signal)).json();
      card = JSON.parse(reply.outputs[0]);
      for (const [key, one] of Object.entries(/** @type {Record<string, any>} */ (card.signatures ?? {})))
        for (const [input, info] of Object.entries(one.inputs ?? {}))
          if (signatures[key]?.inputs[input]) Object.assign(signatures[key].inputs[input], info);
    }
    return new Model(name, found.model_spec?.version ?? "", signatures, card);
  }

  /** @param {...string} names */
  has(...names) {
    return names.every((name) => name in this.signatures);
  }

  /** @param {string} signature @param {string} input */
  takes(signature, input) {
    return input in (this.signatures[signature]?.inputs ?? {});
  }

  /** The length of the latents, or 0. */
  get latentSize() {
    return this.signatures.decode?.inputs.latent?.shape?.[1] ?? 0;
  }

  /** Whether images are a smooth function of latents; a model that draws pixel by pixel has latents that are only noise. */
  get smooth() {
    return this.latentSize > 0 && !this.has("complete");
  }

  /**
   * The outputs of a signature.
   * @param {string} signature @param {Record<string, any>} inputs nested arrays with one row for each image
   * @param {AbortSignal} [signal] @returns {Promise<Record<string, Values>>}
   */
  async predict(signature, inputs, signal) {
    const spec = this.signatures[signature];
    if (!spec) throw new ServerError(`${this.name} has no signature ${signature}.`);
    const missing = Object.keys(spec.inputs).filter((name) => !(name in inputs));
    if (missing.length) throw new ServerError(`${signature} of ${this.name} also needs ${missing.join(", ")}.`);
    const begun = performance.now();
    const body = { signature_name: signature, inputs };
    const reply = parsed(await (await ask(`/v1/models/${encodeURIComponent(this.name)}:predict`, body, signal)).text());
    times.push(performance.now() - begun);
    if (times.length > 200) times.shift();
    last.model = this.name;
    last.signature = signature;
    last.inputs = inputs;
    last.outputs = Object.keys(spec.outputs);
    const names = Object.keys(spec.outputs);
    const outputs = names.length === 1 ? { [names[0]]: reply.outputs } : reply.outputs;
    return Object.fromEntries(Object.entries(outputs).map(([name, nested]) => [name, values(nested)]));
  }
}

/** A reply as TensorFlow Serving writes it, whose numbers may be NaN, Infinity or -Infinity, which are no JSON. @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (one) => (one[0] === '"' ? one : `"${one}"`)));
  }
}

/** Whether a text is a number that JSON does not have. @param {any} inner */
const special = (inner) => ["NaN", "Infinity", "-Infinity"].includes(inner);

/** @param {any} nested @returns {any} */
function values(nested) {
  let inner = nested;
  while (Array.isArray(inner)) inner = inner[0];
  return typeof inner === "number" || special(inner) || inner === undefined ? flat(nested) : { data: nested, shape: [nested.length] };
}

/** The last request to a model, for the commands that are copied. */
export const last = { model: "", signature: "", inputs: /** @type {Record<string, any>} */ ({}), outputs: /** @type {string[]} */ ([]) };

/** @param {string} address */
export function asCurl(address) {
  const body = JSON.stringify({ signature_name: last.signature, inputs: last.inputs }).replaceAll("'", "'\\''");
  return `curl -d '${body}' ${address}/v1/models/${encodeURIComponent(last.model)}:predict`;
}

/** @param {string} address */
export function asPython(address) {
  const python = (/** @type {any} */ value) => JSON.stringify(value).replaceAll("null", "None");
  return [
    "from tfgen_serving.client import Client",
    "",
    `with Client(${JSON.stringify(address)}, ${JSON.stringify(last.model)}) as client:`,
    `    ${last.outputs.join(", ")}${last.outputs.length === 1 ? "," : ""} = client.predict(`,
    `        ${JSON.stringify(last.signature)}, ${python(last.inputs)}, ${python(last.outputs)}`,
    "    )",
    "",
  ].join("\n");
}
