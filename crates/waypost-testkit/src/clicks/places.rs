//! Countries of visitors, and the languages that browsers there request. This file is a table.

use crate::random::{Weighted, mix};

/// Countries in the order of made-up traffic (its share falls with the rank), each with what browsers there send as
/// `Accept-Language`, the usual one first.
const PLACES: [(&str, &[&str]); 60] = [
    ("US", &["en-US,en;q=0.9", "en-US,en;q=0.5", "en-US", "es-US,es;q=0.9,en;q=0.8", "es-419,es;q=0.9,en;q=0.8"]),
    ("IN", &["en-IN,en-GB;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9,hi;q=0.8", "hi-IN,hi;q=0.9,en;q=0.8"]),
    ("DE", &["de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de,en-US;q=0.7,en;q=0.3", "de-DE", "en-US,en;q=0.9,de;q=0.8"]),
    ("GB", &["en-GB,en-US;q=0.9,en;q=0.8", "en-GB,en;q=0.5", "en-GB"]),
    ("BR", &["pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt-BR,pt;q=0.8,en-US;q=0.5,en;q=0.3", "pt-BR"]),
    ("FR", &["fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7", "fr,fr-FR;q=0.8,en-US;q=0.5,en;q=0.3", "fr-FR"]),
    ("JP", &["ja,en-US;q=0.9,en;q=0.8", "ja-JP,ja;q=0.9", "ja"]),
    ("CA", &["en-CA,en;q=0.9", "en-US,en;q=0.9", "fr-CA,fr;q=0.9,en;q=0.8"]),
    ("ID", &["id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9,id;q=0.8"]),
    ("MX", &["es-MX,es;q=0.9,en;q=0.8", "es-419,es;q=0.9"]),
    ("ES", &["es-ES,es;q=0.9", "es-ES,es;q=0.9,en;q=0.8", "ca-ES,ca;q=0.9,es;q=0.8"]),
    ("IT", &["it-IT,it;q=0.9,en-US;q=0.8,en;q=0.7", "it-IT,it;q=0.8,en-US;q=0.5,en;q=0.3"]),
    ("NL", &["nl-NL,nl;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9,nl;q=0.8"]),
    ("AU", &["en-AU,en;q=0.9", "en-GB,en-US;q=0.9,en;q=0.8"]),
    ("TR", &["tr-TR,tr;q=0.9,en-US;q=0.8,en;q=0.7", "tr-TR"]),
    ("PL", &["pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7", "pl,en-US;q=0.7,en;q=0.3"]),
    ("PH", &["en-US,en;q=0.9,fil;q=0.8", "fil-PH,fil;q=0.9,en-US;q=0.8,en;q=0.7"]),
    ("VN", &["vi-VN,vi;q=0.9,en-US;q=0.8,en;q=0.7", "vi-VN,vi;q=0.9,fr-FR;q=0.8,fr;q=0.7,en-US;q=0.6,en;q=0.5"]),
    ("RU", &["ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru,en;q=0.9"]),
    ("KR", &["ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko-KR"]),
    ("AR", &["es-AR,es;q=0.9", "es-419,es;q=0.9,en;q=0.8"]),
    ("TH", &["th-TH,th;q=0.9,en;q=0.8", "th"]),
    ("CO", &["es-CO,es;q=0.9", "es-419,es;q=0.9"]),
    ("NG", &["en-US,en;q=0.9", "en-NG,en;q=0.9"]),
    ("ZA", &["en-ZA,en;q=0.9", "en-GB,en-US;q=0.9,en;q=0.8,af;q=0.7"]),
    ("EG", &["ar-EG,ar;q=0.9,en;q=0.8", "ar,en-US;q=0.9,en;q=0.8"]),
    ("PK", &["en-US,en;q=0.9,ur;q=0.8", "en-GB,en-US;q=0.9,en;q=0.8"]),
    ("BD", &["bn-BD,bn;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9,bn;q=0.8"]),
    ("SE", &["sv-SE,sv;q=0.9,en-US;q=0.8,en;q=0.7", "sv-SE"]),
    ("BE", &["nl-BE,nl;q=0.9,fr;q=0.8,en;q=0.7", "fr-BE,fr;q=0.9,nl;q=0.8,en;q=0.7"]),
    ("CH", &["de-CH,de;q=0.9,en;q=0.8", "fr-CH,fr;q=0.9,de;q=0.8,en;q=0.7", "it-CH,it;q=0.9,de;q=0.8"]),
    ("AT", &["de-AT,de;q=0.9,en-US;q=0.8,en;q=0.7", "de,en-US;q=0.7,en;q=0.3"]),
    ("MY", &["en-GB,en-US;q=0.9,en;q=0.8,ms;q=0.7", "ms-MY,ms;q=0.9,en;q=0.8", "zh-CN,zh;q=0.9,en;q=0.8"]),
    ("SA", &["ar,en-US;q=0.9,en;q=0.8", "ar-SA,ar;q=0.9"]),
    ("AE", &["en-US,en;q=0.9,ar;q=0.8", "ar-AE,ar;q=0.9,en;q=0.8"]),
    ("UA", &["uk-UA,uk;q=0.9,ru;q=0.8,en-US;q=0.7,en;q=0.6", "uk,ru;q=0.9,en;q=0.8"]),
    ("RO", &["ro-RO,ro;q=0.9,en-US;q=0.8,en;q=0.7"]),
    ("CZ", &["cs-CZ,cs;q=0.9,en;q=0.8", "cs,sk;q=0.8,en-US;q=0.5,en;q=0.3"]),
    ("PT", &["pt-PT,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt-PT"]),
    ("CL", &["es-CL,es;q=0.9", "es-419,es;q=0.9"]),
    ("PE", &["es-PE,es;q=0.9", "es-419,es;q=0.9,en;q=0.8"]),
    ("SG", &["en-SG,en-GB;q=0.9,en-US;q=0.8,en;q=0.7", "zh-CN,zh;q=0.9,en;q=0.8"]),
    ("TW", &["zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7", "zh-TW"]),
    ("HK", &["zh-HK,zh;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9"]),
    ("CN", &["zh-CN,zh;q=0.9", "zh-CN,zh;q=0.9,en;q=0.8"]),
    ("DK", &["da-DK,da;q=0.9,en-US;q=0.8,en;q=0.7", "da-DK"]),
    ("NO", &["nb-NO,nb;q=0.9,no;q=0.8,nn;q=0.7,en-US;q=0.6,en;q=0.5"]),
    ("FI", &["fi-FI,fi;q=0.9,en-US;q=0.8,en;q=0.7", "sv-FI,sv;q=0.9,fi;q=0.8"]),
    ("GR", &["el-GR,el;q=0.9,en;q=0.8"]),
    ("HU", &["hu-HU,hu;q=0.9,en-US;q=0.8,en;q=0.7"]),
    ("IL", &["he-IL,he;q=0.9,en-US;q=0.8,en;q=0.7", "ru,he;q=0.9,en;q=0.8"]),
    ("IE", &["en-IE,en;q=0.9", "en-GB,en-US;q=0.9,en;q=0.8"]),
    ("NZ", &["en-NZ,en;q=0.9", "en-GB,en-US;q=0.9,en;q=0.8"]),
    ("MA", &["fr-FR,fr;q=0.9,ar;q=0.8,en;q=0.7", "ar-MA,ar;q=0.9,fr;q=0.8"]),
    ("KE", &["en-US,en;q=0.9,sw;q=0.8", "en-GB,en;q=0.9"]),
    ("LK", &["en-US,en;q=0.9,si;q=0.8", "si-LK,si;q=0.9,en;q=0.8"]),
    ("IR", &["fa-IR,fa;q=0.9,en-US;q=0.8,en;q=0.7", "fa"]),
    ("DZ", &["fr-FR,fr;q=0.9,ar;q=0.8", "ar-DZ,ar;q=0.9,fr;q=0.8"]),
    ("KZ", &["ru-RU,ru;q=0.9,kk;q=0.8,en;q=0.7", "kk-KZ,kk;q=0.9,ru;q=0.8"]),
    ("BG", &["bg-BG,bg;q=0.9,en;q=0.8"]),
];

/// The countries after them, which ask mostly for English.
const FURTHER: &str = "SK HR RS LT LV EE SI LU IS MT CY AL MK BA ME MD BY GE AM AZ UZ KG TJ TM MN NP MM KH LA BN MO MV BT \
    AF IQ SY LB JO PS KW QA BH OM YE TN LY SD ET UG TZ RW GH CI SN CM CD AO MZ ZM ZW BW NA MG MU RE VE EC BO PY UY CR PA \
    GT HN SV NI DO CU HT JM TT BB BS PR GY SR BZ FJ PG NC PF GU GP MQ GF AD MC LI SM GI FO GL JE IM XK SC CV BJ TG ML BF \
    NE GN GM SL LR MR TD SO DJ ER SS BI MW LS SZ KM WS TO VU SB";

/// The share of visits of which no country is known.
const UNKNOWN_SHARE: f64 = 0.01;

const ENGLISH: &[&str] = &["en-US,en;q=0.9", "en-GB,en;q=0.9", "fr-FR,fr;q=0.9,en;q=0.8", "ru-RU,ru;q=0.9,en;q=0.8"];

/// One place: its country, and what is requested there.
pub(super) type Place = (Option<[u8; 2]>, &'static [&'static str]);

/// All of them, to be picked from.
#[derive(Debug)]
pub(super) struct Places {
    places: Vec<Place>,
    picks: Weighted,
}

impl Places {
    pub(super) fn new() -> Self {
        let letters = |code: &str| [code.as_bytes()[0], code.as_bytes()[1]];
        let known = PLACES.iter().map(|(code, languages)| (Some(letters(code)), *languages));
        let further = FURTHER.split_ascii_whitespace().map(|code| (Some(letters(code)), ENGLISH));
        let mut places: Vec<Place> = known.chain(further).collect();
        let mut weights: Vec<f64> = (1..=places.len()).map(|rank| 1.0 / rank as f64).collect();
        weights.push(weights.iter().sum::<f64>() * UNKNOWN_SHARE);
        places.push((None, ENGLISH));
        Self { places, picks: Weighted::new(&weights) }
    }

    /// The place that belongs to these random bits.
    pub(super) fn pick(&self, bits: u64) -> Place {
        self.places[self.picks.place(bits)]
    }
}

/// One of the languages of a place: usually the first.
pub(super) fn language(languages: &'static [&'static str], bits: u64) -> &'static str {
    let bits = mix(bits);
    // Three in four take the first; one in forty says nothing, as many programs do.
    match bits % 40 {
        0 => "",
        1..30 => languages[0],
        _ => languages[(bits >> 32) as usize % languages.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_two_letters_and_each_is_there_once() {
        let codes: Vec<_> = Places::new().places.iter().filter_map(|(code, _)| *code).collect();
        assert!(codes.iter().flatten().all(u8::is_ascii_uppercase));
        let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len());
        assert!(codes.len() > 180, "{}", codes.len());
    }
}
