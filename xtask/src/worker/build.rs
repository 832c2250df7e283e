//! Builds the Worker: the module for wasm32, the bundles of JavaScript, and their sizes against the budget.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::npm::Npm;
use crate::run::{program, read, root, run, succeeds, target_folder};
use crate::wasm;

/// The most bytes of module and bundle together, compressed as for an upload: the budget in docs/performance.md.
const COMPRESSED_BYTES_MAX: u64 = 300_000;

/// What is bundled, and as what. The first is the product; the others are for tests and measurements.
const BUNDLES: [(&str, &str); 3] = [
    ("js/worker.js", "worker.mjs"),
    ("test/test-worker.js", "test-worker.mjs"),
    ("test/bench-worker.js", "bench-worker.mjs"),
];

/// What has been built.
#[derive(Debug)]
pub(super) struct Built {
    /// Holds `waypost.wasm`, `worker.mjs` and the bundles of the tests.
    pub(super) folder: PathBuf,
}

/// Builds everything and prints the sizes; `None` if no compiler for wasm32 can be had.
pub(super) fn build(npm: &Npm) -> anyhow::Result<Option<Built>> {
    let Some(compiler) = wasm::compiler()? else { return Ok(None) };
    let mut command = compiler.command("rustc")?;
    command.args(["--package", "waypost-worker", "--lib", "--crate-type", "cdylib", "--profile", "worker"]);
    // Every runtime that Workers have run on for years has vectors of 128 bits. Inlining less makes it 9 KB smaller,
    // compressed; what it costs in time is less than rounds of the benchmark differ.
    command
        .args(["--config", "build.rustflags=[\"-Ctarget-feature=+simd128\", \"-Cllvm-args=-inline-threshold=100\"]"]);
    run(&mut command)?;

    let folder = target_folder()?.join("worker");
    fs::create_dir_all(&folder)?;
    let compiled = compiler.folder()?.join("worker/waypost_worker.wasm");
    optimise(&compiled, &folder.join("waypost.wasm"))?;
    let sources = root()?.join("crates/waypost-worker");
    for (source, bundle) in BUNDLES {
        let out = format!("--outfile={}", folder.join(bundle).display());
        let mut command = npm.program("esbuild");
        command.arg(sources.join(source)).arg(out).args(["--bundle", "--format=esm", "--target=es2022", "--minify"]);
        run(command.args(["--external:./waypost.wasm", "--log-level=warning"]))?;
    }
    print_sizes(&folder)?;
    Ok(Some(Built { folder }))
}

/// Lets Binaryen's optimiser over the module where it is installed. The compiler leaves it little: a tenth of the
/// bytes, nothing of them compressed.
fn optimise(from: &Path, to: &Path) -> anyhow::Result<()> {
    if succeeds(&mut program("wasm-opt", ["--version"])) {
        let features = ["--enable-simd", "--enable-bulk-memory", "--enable-sign-ext", "--enable-mutable-globals"];
        let more = ["--enable-nontrapping-float-to-int", "--enable-reference-types", "--enable-multivalue"];
        let mut command = program("wasm-opt", ["-O3"]);
        command.args(features).args(more).arg(from).arg("-o").arg(to);
        if run(&mut command).is_ok() {
            return Ok(());
        }
        println!("the optimiser does not take the module; it stays as the compiler made it");
    }
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}

fn print_sizes(folder: &Path) -> anyhow::Result<()> {
    // Node is here anyway, and has both compressions.
    const SCRIPT: &str = "const { readFileSync } = require('fs'); const { gzipSync, brotliCompressSync } = require('zlib'); \
        for (const path of process.argv.slice(1)) { const bytes = readFileSync(path); \
        console.log([bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length].join(' ')) }";
    let names = ["waypost.wasm", "worker.mjs"];
    let mut command = program("node", ["-e", SCRIPT]);
    let printed = read(command.args(names.map(|name| folder.join(name))))?;
    println!("{:<14} {:>10} {:>10} {:>10}", "bytes", "raw", "gzip", "brotli");
    let mut totals = [0; 3];
    for (name, line) in names.into_iter().zip(printed.lines()) {
        let sizes: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().context("sizes are numbers")?;
        let sizes: [u64; 3] = sizes.try_into().ok().context("three sizes a file")?;
        print_row(name, sizes);
        totals.iter_mut().zip(sizes).for_each(|(total, size)| *total += size);
    }
    print_row("together", totals);
    ensure!(totals[1] <= COMPRESSED_BYTES_MAX, "the Worker is over {COMPRESSED_BYTES_MAX} bytes compressed");
    Ok(())
}

fn print_row(name: &str, [raw, gzip, brotli]: [u64; 3]) {
    println!("{name:<14} {raw:>10} {gzip:>10} {brotli:>10}");
}
