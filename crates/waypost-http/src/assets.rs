//! The static files of the pages: style, script and logo. Their names contain a digest of their content, so browsers
//! may cache them for ever.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::compression::smallest;

/// A file that pages refer to.
#[derive(Debug)]
pub(crate) struct Asset {
    /// The path it is served under.
    pub(crate) path: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: &'static [u8],
    /// The same with gzip, if that is smaller.
    pub(crate) gzip: Option<Vec<u8>>,
}

/// The paths of the files, as templates name them.
#[derive(Debug)]
pub(crate) struct AssetPaths {
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) mark: &'static str,
}

/// Where templates find the files.
pub(crate) static ASSETS: LazyLock<AssetPaths> =
    LazyLock::new(|| AssetPaths { style: &FILES[0].path, script: &FILES[1].path, mark: &FILES[2].path });

static FILES: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("site", "css", "text/css; charset=utf-8", include_bytes!("../assets/site.css")),
        asset("landing", "js", "text/javascript; charset=utf-8", include_bytes!("../assets/landing.js")),
        asset("mark", "svg", "image/svg+xml", include_bytes!("../assets/mark.svg")),
    ]
});

/// The file under this path.
pub(crate) fn find_asset(path: &str) -> Option<&'static Asset> {
    FILES.iter().find(|asset| asset.path == path)
}

/// The mark, for browsers that ask for `/favicon.ico`.
pub(crate) fn favicon() -> &'static Asset {
    &FILES[2]
}

fn asset(name: &str, extension: &str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    let digest = Sha256::digest(bytes);
    let hash = HEXLOWER.encode(&digest[..6]);
    Asset { path: format!("/assets/{name}.{hash}.{extension}"), media_type, bytes, gzip: smallest(bytes) }
}
