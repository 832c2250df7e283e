//! Codes are read back by a decoder that is not ours, from each format, and their bytes stand still.

#![allow(clippy::unwrap_used, missing_docs)]

use png::{ColorType, Decoder, Encoder, Transformations};
use waypost_qr::{Color, ErrorCorrection, Format, LOGO_BYTES_MAX, Logo, LogoError, SIZE_MAX, Style, StyleError, draw};

const URL: &str = "https://go.example/summer-menu?qr=1";

fn pixels(png: &[u8]) -> (usize, Vec<[u8; 3]>) {
    let mut decoder = Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((frame.width, frame.color_type), (frame.height, ColorType::Rgb));
    (frame.width as usize, bytes.as_chunks().0.to_vec())
}

#[track_caller]
fn decode(width: usize, gray: impl Fn(usize, usize) -> u8) -> String {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, gray);
    let grids = image.detect_grids();
    let [grid] = &grids[..] else { panic!("{} codes were found", grids.len()) };
    grid.decode().unwrap().1
}

#[track_caller]
fn decode_png(png: &[u8]) -> String {
    let (width, pixels) = pixels(png);
    decode(width, |x, y| {
        let [red, green, blue] = pixels[y * width + x].map(u32::from);
        ((red * 299 + green * 587 + blue * 114) / 1000) as u8
    })
}

/// Draws the path of dark modules of our own SVG: `M{x} {y}h{length}v1h-{length}z`, with this many pixels to a module.
#[track_caller]
fn decode_svg(svg: &[u8]) -> String {
    let svg = str::from_utf8(svg).unwrap();
    let modules: usize = svg.split_once("viewBox=\"0 0 ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let path = svg.rsplit_once(" d=\"").unwrap().1.split('"').next().unwrap();
    let mut dark = vec![false; modules * modules];
    for run in path.split('M').skip(1) {
        let numbers: Vec<usize> =
            run.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        dark[numbers[1] * modules + numbers[0]..][..numbers[2]].fill(true);
    }
    decode(modules * 4, |x, y| if dark[y / 4 * modules + x / 4] { 0 } else { 255 })
}

fn logo(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgba);
    let bytes: Vec<u8> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    file
}

fn black_logo() -> Logo {
    Logo::read(&logo(64, 64, |_, _| [0, 0, 0, 255])).unwrap()
}

#[test]
fn every_level_and_length_is_read_back_from_every_format() {
    for length in [1, 20, 60, 150, 400] {
        let url = format!("https://go.example/{}?qr=1", "a1".repeat(length));
        for (_, level) in ErrorCorrection::NAMES {
            let style = Style { error_correction: Some(level), size: 400, ..Style::default() };
            assert_eq!(decode_png(&draw(&url, Format::Png, &style, None).unwrap()), url, "{level:?}");
            assert_eq!(decode_svg(&draw(&url, Format::Svg, &style, None).unwrap()), url, "{level:?}");
        }
    }
}

#[test]
fn a_code_in_letters_is_read_back() {
    let text = String::from_utf8(draw(URL, Format::Text, &Style::default(), None).unwrap()).unwrap();
    let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let width = lines[0].len();
    assert!(lines.iter().all(|line| line.len() == width));
    let is_dark = |x: usize, y: usize| match lines.get(y / 2).map_or(' ', |line| line[x]) {
        '█' => true,
        '▀' => y.is_multiple_of(2),
        '▄' => y % 2 == 1,
        _ => false,
    };
    assert_eq!(decode(width * 4, |x, y| if is_dark(x / 4, y / 4) { 0 } else { 255 }), URL);
}

#[test]
fn a_code_under_the_worst_logo_is_read_back() {
    for length in [1, 10, 30, 60, 100, 200] {
        let url = format!("https://go.example/{}?qr=1", "Ab9".repeat(length));
        let style = Style { size: 450, ..Style::default() };
        assert_eq!(decode_png(&draw(&url, Format::Png, &style, Some(&black_logo())).unwrap()), url);
        // The SVG has the hole, and the logo as an image in it.
        let svg = draw(&url, Format::Svg, &style, Some(&black_logo())).unwrap();
        assert_eq!(decode_svg(&svg), url);
        assert!(str::from_utf8(&svg).unwrap().contains("href=\"data:image/png;base64,"));
    }
}

#[test]
fn colors_margins_and_sizes_are_read_back() {
    let color = |text: &str| text.parse::<Color>().unwrap();
    for (size, margin, dark, light) in
        [(74, 4, "000", "fff"), (300, 1, "c00000", "ffffff"), (999, 12, "#1f3b70", "fde68a"), (512, 4, "00f", "eee")]
    {
        let style = Style { size, margin, color: color(dark), background: color(light), error_correction: None };
        let png = draw(URL, Format::Png, &style, None).unwrap();
        let (width, pixels) = pixels(&png);
        assert_eq!(width, size as usize);
        let mut found = pixels.clone();
        found.sort_unstable();
        found.dedup();
        let mut expect = vec![style.color.rgb, style.background.rgb];
        expect.sort_unstable();
        assert_eq!((found, pixels[0]), (expect, style.background.rgb));
        assert_eq!(decode_png(&png), URL);
    }
}

#[test]
fn what_scanners_could_not_read_is_refused() {
    let color = |text: &str| text.parse::<Color>().unwrap();
    let refused = |style: &Style, logo: Option<&Logo>| draw(URL, Format::Png, style, logo).unwrap_err();
    let gray = Style { color: color("888"), ..Style::default() };
    let error = refused(&gray, None);
    assert_eq!(
        (error.field(), error.to_string().as_str()),
        (
            "color",
            "#888888 on #ffffff has a contrast of 3.5 to 1, and scanners need 4 to 1: choose a darker color or a lighter background"
        )
    );
    let inverted = Style { color: Color::WHITE, background: Color::BLACK, ..Style::default() };
    assert!(matches!(refused(&inverted, None), StyleError::Inverted { .. }));
    let small = refused(&Style { size: 60, ..Style::default() }, None);
    let StyleError::TooSmall { modules, least } = small else { panic!("{small:?}") };
    assert_eq!(least, modules * 2);
    assert!(draw(URL, Format::Png, &Style { size: least, ..Style::default() }, None).is_ok());
    assert!(draw(URL, Format::Svg, &Style { size: 60, ..Style::default() }, None).is_ok());
    let low = Style { error_correction: Some(ErrorCorrection::Quartile), ..Style::default() };
    assert_eq!(refused(&low, Some(&black_logo())), StyleError::LogoNeedsHigh);
    let long = draw(&"x".repeat(3_000), Format::Svg, &Style::default(), None);
    assert_eq!(long, Err(StyleError::TooLong));
}

/// The same input gives the same bytes, in every process and build: whoever has printed or cached a code can compare. A newer
/// encoder of codes, or of PNG, may change these numbers.
#[test]
fn bytes_stand_still() {
    let logo = Logo::read(&logo(40, 20, |x, y| [x as u8, y as u8, 9, (x * 6) as u8])).unwrap();
    let hash = |format, logo| {
        let image = draw(URL, format, &Style::default(), logo).unwrap();
        assert_eq!(image, draw(URL, format, &Style::default(), logo).unwrap());
        // FNV-1a.
        image
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    };
    let found = [
        hash(Format::Svg, None),
        hash(Format::Png, None),
        hash(Format::Text, None),
        hash(Format::Svg, Some(&logo)),
        hash(Format::Png, Some(&logo)),
    ];
    assert_eq!(
        found.map(|hash| format!("{hash:016x}")),
        ["e839f7b1a5b672c6", "0e2326dff4c79c0a", "fb00ddb3ab91113f", "88362fc3c8e3fa32", "91d87964bff83386"]
    );
}

#[test]
fn a_logo_is_written_anew() {
    let mut file = logo(2_000, 500, |x, _| if x < 1_000 { [255, 0, 0, 255] } else { [0, 0, 255, 128] });
    let small = Logo::read(&file).unwrap();
    assert_eq!((small.width(), small.height()), (400, 100));
    let written = small.to_png();
    assert_eq!(Logo::read(&written).unwrap(), small, "what is stored reads the same");
    // What lies behind the image, or in other chunks, does not come through.
    file.extend_from_slice(b"<script>secret</script>");
    assert_eq!(Logo::read(&file).unwrap().to_png(), written);
}

#[test]
fn bombs_and_other_files_are_refused() {
    assert!(matches!(Logo::read(&vec![0; LOGO_BYTES_MAX + 1]), Err(LogoError::TooManyBytes)));
    for not_png in [&b""[..], b"GIF89a", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"\x89PNG\r\n\x1a\n"] {
        assert!(matches!(Logo::read(not_png), Err(LogoError::NotPng(_))));
    }
    let good = logo(64, 64, |x, y| [x as u8, y as u8, 0, 255]);
    for length in 0..good.len() - 12 {
        assert!(Logo::read(&good[..length]).is_err(), "cut at {length}");
    }
    // A header that promises far more than there is: refused before memory is taken for it.
    for (width, height) in [(60_000_u32, 60_000_u32), (u32::MAX >> 1, 1), (4_097, 1), (4_096, 1_025)] {
        let mut header = Vec::new();
        let mut encoder = Encoder::new(&mut header, width, height);
        encoder.set_color(ColorType::Rgba);
        let _ = encoder.write_header();
        assert!(matches!(Logo::read(&header), Err(LogoError::TooManyPixels { .. })), "{width} x {height}");
    }
    assert!(matches!(Logo::read(&logo(8, 8, |_, _| [1, 2, 3, 0])), Err(LogoError::Empty)));
}

/// Small in the file, large when it is unpacked: within the limits of pixels it is read, and scaled at once.
#[test]
fn the_largest_logo_takes_little_time() {
    let file = logo(4_096, 1_024, |_, _| [7, 7, 7, 255]);
    assert!(file.len() < LOGO_BYTES_MAX);
    let logo = Logo::read(&file).unwrap();
    assert_eq!((logo.width(), logo.height()), (400, 100));
    let style = Style { size: SIZE_MAX, ..Style::default() };
    assert_eq!(decode_png(&draw(URL, Format::Png, &style, Some(&logo)).unwrap()), URL);
}
