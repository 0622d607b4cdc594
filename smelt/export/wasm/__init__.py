"""Steps as WebAssembly: modules, and the JavaScript that calls them."""

from smelt.export.wasm.files import WasmExport, to_wasm

__all__ = ["WasmExport", "to_wasm"]
