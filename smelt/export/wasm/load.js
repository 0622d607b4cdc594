/** Loads the step: without a source from the file beside this one, with SIMD where it can run. */
async function load(source) {
  const given = source ?? new URL(hasSimd() ? SIMD : SCALAR, import.meta.url);
  return new Step(await compiled(given), STEP);
}

/** Returns a module: one that is there, or of bytes, or of a file. */
async function compiled(source) {
  if (source instanceof WebAssembly.Module) {
    return source;
  }
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    return WebAssembly.compile(source);
  }
  const url = new URL(source, import.meta.url);
  if (url.protocol === "file:") { // Node's fetch reads none
    const { readFile } = await import("node:fs/promises");
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url}: cannot be loaded (${response.status} ${response.statusText})`);
  }
  return WebAssembly.compile(await response.arrayBuffer());
}

export { CheckError, Step, load };
