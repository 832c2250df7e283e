// Runs every test of the Worker in workerd. `cargo xtask test` and `cargo xtask worker test` start it with what it needs in the
// environment; an argument is a part of the names to run.

import "./decisions.mjs";
import "./answers.mjs";
import "./clicks.mjs";
import "./anonymous.mjs";
import "./kv-api-answers.mjs";
import "./sync.mjs";
import "./reports.mjs";
import { runTests } from "./harness.mjs";

process.exit((await runTests()) ? 1 : 0);
