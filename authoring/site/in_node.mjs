// Runs a Python file in the site's own Pyodide, without a browser:  node in_node.mjs PYODIDE_FOLDER OPTIONS FILE.py [FOLDER]
// OPTIONS (JSON) goes to loadPyodide; FOLDER is /here for the Python file. Exits with 1 on an exception.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, options, file, folder] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(pyodide, "pyodide.mjs")).href);
const python = await loadPyodide({ indexURL: resolve(pyodide) + "/", ...JSON.parse(options) });
if (folder) python.mountNodeFS("/here", resolve(folder));
const source = readFileSync(file, "utf-8");
await python.loadPackagesFromImports(source, { messageCallback() {} });
python.globals.set("source", source);
// Formatted in Python: IPython, once imported, takes over how an exception is shown.
const failed = await python.runPythonAsync(`
import traceback
from pyodide.code import eval_code_async
try:
    await eval_code_async(source, {"__name__": "__main__"}, filename="FILE.py")
    failed = None
except BaseException:
    failed = traceback.format_exc()
failed`);
if (failed) console.error(failed.slice(-4000));
process.exit(failed ? 1 : 0);
