const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array, // its bits
  bfloat16: Uint16Array, // its bits
  float32: Float32Array,
  float64: Float64Array,
};

/** Data failed a check of the step, which changed nothing. */
class CheckError extends Error {
  constructor(message, code) {
    super(message);
    this.name = "CheckError";
    this.code = code;
  }
}

/** A step with a state of its own: what it changes from call to call. */
class Step {
  #module;
  #about;
  #memory;
  #run;
  #state;
  #free;
  #tensors;

  constructor(module, about) {
    this.#module = module;
    this.#about = about;
    const { exports } = new WebAssembly.Instance(module, {});
    this.#memory = exports.memory;
    this.#run = exports[`${about.name}_step`];
    if (this.#run === undefined) {
      throw new TypeError(`${about.name}: the module is of another step; it has no ${about.name}_step`);
    }
    this.#state = exports[`${about.name}_state`].value >>> 0;
    this.#free = exports.__heap_base.value >>> 0;
    this.#tensors = new Map(about.tensors.map((one) => [one.name, one]));
  }

  /** Runs one step: typed arrays to one, or to an object of several. */
  step(...values) {
    const { name, args, results, checks } = this.#about;
    if (values.length !== args.length) {
      const names = args.map((one) => one.name).join(", ") || "none";
      throw new TypeError(`${name}: takes ${args.length} arguments (${names}), got ${values.length}`);
    }
    const arrays = args.map((one, number) => this.#fitting(one, values[number]));
    args.forEach((one, number) => this.#view(one, this.#free).set(arrays[number]));
    const addresses = [...args, ...results].map((one) => this.#free + one.offset);
    const code = this.#run(this.#state, ...addresses);
    if (code !== 0) {
      throw new CheckError(`${name}: ${checks[code - 1]}`, code);
    }
    const found = results.map((one) => this.#view(one, this.#free).slice());
    if (results.length === 1) {
      return found[0];
    }
    return Object.fromEntries(results.map((one, number) => [one.name, found[number]]));
  }

  /** Returns the memory of a tensor of the state. */
  tensor(name) {
    return this.#view(this.#known(name), this.#state);
  }

  /** Returns copies of the tensors of the state, by name. */
  stateDict() {
    return Object.fromEntries([...this.#tensors.keys()].map((name) => [name, this.tensor(name).slice()]));
  }

  /** Sets tensors of the state; what is not named stays. A strict one refuses unknown names. */
  loadStateDict(values, { strict = true } = {}) {
    const names = Object.keys(values).filter((name) => strict || this.#tensors.has(name));
    const arrays = names.map((name) => this.#fitting(this.#known(name), values[name]));
    names.forEach((name, number) => this.tensor(name).set(arrays[number]));
  }

  /** Sets the state to what it was at export. */
  reset() {
    const fresh = new Step(this.#module, this.#about);
    for (const name of this.#tensors.keys()) {
      this.tensor(name).set(fresh.tensor(name));
    }
  }

  /** Returns where a tensor lies. */
  #known(name) {
    const one = this.#tensors.get(name);
    if (one === undefined) {
      const names = [...this.#tensors.keys()].join(", ") || "none";
      throw new RangeError(`${this.#about.name}: has no tensor ${JSON.stringify(name)}; it has ${names}`);
    }
    return one;
  }

  /** Returns the memory of an argument, a result or a tensor. */
  #view(one, base) {
    return new ARRAYS[one.dtype](this.#memory.buffer, base + one.offset, one.length);
  }

  /** Returns a value as an array of the dtype and the length of an argument or a tensor. */
  #fitting(one, value) {
    const wanted = ARRAYS[one.dtype];
    const place = `${this.#about.name}: ${one.name}`;
    if (one.shape.length === 0 && typeof value === (wanted === BigInt64Array ? "bigint" : "number")) {
      return [value];
    }
    if (!(value instanceof wanted)) {
      const kind = value?.constructor?.name ?? String(value);
      throw new TypeError(`${place} is ${kind}, and should be ${wanted.name} (${one.dtype}[${one.shape}])`);
    }
    if (value.length !== one.length) {
      const shape = `${one.dtype}[${one.shape}]`;
      throw new RangeError(`${place} has ${value.length} numbers, and should have ${one.length} (${shape})`);
    }
    if (one.dtype === "bool" && value.some((number) => number > 1)) {
      throw new RangeError(`${place} is bool, and has numbers other than 0 and 1`);
    }
    return value;
  }
}

/** Returns whether this engine has SIMD: whether a function with i8x16.popcnt is valid. */
function hasSimd() {
  const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  return WebAssembly.validate(new Uint8Array(code));
}
