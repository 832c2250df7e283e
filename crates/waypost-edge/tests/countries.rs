//! Countries from a database that is absent, good, replaced, cut short, or one of MaxMind's collection of broken ones.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use waypost_edge::{CountryDatabase, CountryError, Place, Reloaded};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/mmdb").join(name)
}

fn country(database: &CountryDatabase, address: &str) -> Option<String> {
    let letters = database.country_of(address.parse().unwrap())?;
    Some(String::from_utf8(letters.to_vec()).unwrap())
}

#[test]
fn addresses_have_countries() {
    for (name, kind) in
        [("GeoLite2-Country-Test.mmdb", "GeoLite2-Country"), ("GeoLite2-City-Test.mmdb", "GeoLite2-City")]
    {
        let database = CountryDatabase::at(&testdata(name));
        assert_eq!(country(&database, "89.160.20.112"), None, "nothing was read yet");
        assert!(matches!(database.reload().unwrap(), Reloaded::Read { kind: found, .. } if found == kind));
        assert_eq!(database.reload().unwrap(), Reloaded::Unchanged);
        assert_eq!(country(&database, "89.160.20.112").as_deref(), Some("SE"));
        assert_eq!(country(&database, "2001:218::1").as_deref(), Some("JP"));
        assert_eq!(country(&database, "127.0.0.1"), None);
    }
}

#[test]
fn a_city_database_has_regions_and_cities() {
    let place = |name: &str, address: &str| {
        let database = CountryDatabase::at(&testdata(name));
        database.reload().unwrap();
        let Place { region, city } = database.place_of(address.parse().unwrap());
        (region.unwrap_or_default(), city.unwrap_or_default())
    };
    let of = |region: &str, city: &str| (region.to_owned(), city.to_owned());
    let cities = "GeoLite2-City-Test.mmdb";
    assert_eq!(place(cities, "81.2.69.142"), of("GB-ENG", "London"));
    assert_eq!(place(cities, "89.160.20.112"), of("SE-E", "Link\u{f6}ping"));
    assert_eq!(place(cities, "127.0.0.1"), of("", ""));
    assert_eq!(place("GeoLite2-Country-Test.mmdb", "81.2.69.142"), of("", ""));
}

#[test]
fn a_file_that_changes_is_read_again_and_a_bad_one_leaves_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("country.mmdb");
    let database = CountryDatabase::at(&path);
    assert!(matches!(database.reload(), Err(CountryError::Read { .. })));
    fs::copy(testdata("GeoLite2-Country-Test.mmdb"), &path).unwrap();
    assert!(matches!(database.reload().unwrap(), Reloaded::Read { .. }));

    for broken in [&b""[..], b"x", &fs::read(&path).unwrap()[..5_000]] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(database.reload(), Err(CountryError::Format { .. })), "{} bytes", broken.len());
        assert_eq!(database.reload().unwrap(), Reloaded::Unchanged, "said once");
        assert_eq!(country(&database, "89.160.20.112").as_deref(), Some("SE"));
    }
    fs::copy(testdata("GeoLite2-ASN-Test.mmdb"), &path).unwrap();
    let error = database.reload().unwrap_err().to_string();
    assert!(error.contains("GeoLite2-ASN") && error.contains("country or city"), "{error}");
    fs::remove_file(&path).unwrap();
    assert_eq!(database.reload().unwrap(), Reloaded::Unchanged);
    assert_eq!(country(&database, "89.160.20.112").as_deref(), Some("SE"));

    fs::copy(testdata("GeoLite2-City-Test.mmdb"), &path).unwrap();
    assert!(matches!(database.reload().unwrap(), Reloaded::Read { .. }));
}

/// Whatever is in these files, reading and asking them neither panics nor hangs.
#[test]
fn broken_databases_are_survived() {
    let mut count = 0;
    for entry in fs::read_dir(testdata("bad")).unwrap() {
        let database = CountryDatabase::at(&entry.unwrap().path());
        let _ = database.reload();
        for address in ["89.160.20.112", "2001:218::1", "0.0.0.0", "255.255.255.255", "::", "1.1.1.32"] {
            let _ = country(&database, address);
            let _ = database.place_of(address.parse().unwrap());
        }
        count += 1;
    }
    assert!(count >= 21, "{count}");
}
