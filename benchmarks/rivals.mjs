// Run a tfjs graph model on a file of crops; called by rivals.py.
//   node rivals.mjs MODEL.json CROPS OUTPUT SIDE TYPE NAMES
// CROPS holds uint8 crops of SIDE x SIDE x 3 one after another; TYPE is int32 (0..255) or float32 (0..1). OUTPUT gets, for
// every crop, the float32 values of the outputs NAMES (separated by commas), one after another.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.cwd(), "index.js"));
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");

const [modelFile, cropsFile, outputFile, sideText, type, names] = process.argv.slice(2);
const side = Number(sideText);
const size = side * side * 3;

wasm.setWasmPaths(path.dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + "/");
await tf.setBackend("wasm");
await tf.ready();
const graph = JSON.parse(fs.readFileSync(modelFile, "utf8"));
const weights = fs.readFileSync(modelFile.replace(/\.json$/, ".bin"));
const model = await tf.loadGraphModel({
  load: async () => ({
    modelTopology: graph.modelTopology,
    signature: graph.signature,
    weightSpecs: graph.weightsManifest.flatMap((group) => group.weights),
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
  }),
});
const crops = fs.readFileSync(cropsFile);
const output = fs.openSync(outputFile, "w");
for (let start = 0; start < crops.length; start += size) {
  const values = tf.tidy(() => {
    const pixels = tf.tensor(Int32Array.from(crops.subarray(start, start + size)), [1, side, side, 3], "int32");
    const input = type === "int32" ? pixels : pixels.toFloat().div(255);
    const found = model.execute(input, names.split(","));
    return (Array.isArray(found) ? found : [found]).map((tensor) => tensor.dataSync());
  });
  for (const each of values) fs.writeSync(output, Buffer.from(Float32Array.from(each).buffer));
}
fs.closeSync(output);
