//! `--mode mixed`: the room as one file set.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use recorder_testkit::ffmpeg;
use recorder_testkit::media::media_file;
use support::{assert_playable, files, names, record};
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const SMALL: [&str; 8] = ["--mode", "mixed", "--canvas", "320x180", "--fps", "10", "--seconds", "4"];

#[test]
fn a_room_is_one_file_set_in_every_layout_and_the_same_start_gives_the_same_bytes() {
    let json = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let custom = r##"{"MixLayoutMode": 4, "BackGroundColor": "#FFA500",
        "MixLayoutList": [{"Top": 0, "Left": 0, "Width": 160, "Height": 90, "UserId": "bob"},
                          {"Top": 90, "Left": 160, "Width": 160, "Height": 90, "Alpha": 60}],
        "WaterMarkList": [{"WaterMarkType": 1, "WaterMarkChar": {"Top": 0, "Left": 170, "Width": 150, "Height": 40,
                           "Chars": "custom", "FontSize": 24}},
                          {"WaterMarkType": 2, "WaterMarkTimestamp": {"Pos": 2}}]}"##;
    std::fs::write(json.path(), custom).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for layout in ["grid", "floating", "screen-share", json.path().to_str().unwrap()] {
        let written: Vec<_> = (0..2)
            .map(|_| {
                let out = tempfile::tempdir().unwrap();
                let output =
                    record(out.path(), &[&SMALL[..], &["--layout", layout, "--format", "hls+mp4"]].concat());
                assert!(output.status.success(), "{layout}: {}", String::from_utf8_lossy(&output.stderr));
                let table = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(table.contains("(room)") && table.contains("mix"), "{table}");
                assert_playable(out.path());
                files(out.path())
            })
            .collect();
        assert!(written[0] == written[1], "{layout}: two runs differ");
        let names: Vec<_> = written[0].keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "task01/1400000001_1001.m3u8",
                "task01/1400000001_1001.mp4",
                "task01/1400000001_1001_20231114221320000.ts"
            ]
        );
        assert!(seen.insert(written[0][names[2]].clone()), "{layout} looks like another");
    }
}

#[test]
fn a_picture_can_be_encoded_as_a_screen() {
    let written = ["camera", "screen"].map(|content| {
        let out = tempfile::tempdir().unwrap();
        let output = record(out.path(), &[&SMALL[..], &["--content", content, "-q"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_playable(out.path());
        let files = files(out.path());
        files[&names(&files, ".ts")[0]].clone()
    });
    assert!(written[0] != written[1], "the encoder was told");
}

/// The pictures of a run as FFmpeg decodes them: I420, one after the other. `None` without FFmpeg.
fn pictures(args: &[&str]) -> Option<Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &[&SMALL[..], args, &["-q"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let name = names(&files(out.path()), ".m3u8").pop().unwrap();
    ffmpeg::decode_i420(&out.path().join(name))
}

#[test]
fn watermarks_are_where_they_are_put() {
    const WIDTH: usize = 320;
    let text = ["--watermark", "text=A,left=200,top=100,width=40,height=40,color=#FFFFFF,background=#FF0000"];
    let (Some(plain), Some(marked)) = (pictures(&[]), pictures(&text)) else { return };
    assert_eq!(plain.len(), marked.len());
    assert_eq!(plain.len(), 40 * WIDTH * 180 * 3 / 2);
    // Red is 63 in luma and 240 in the second chroma by BT.709, which the simulated people's videos tell.
    let frame = &marked[..WIDTH * 180 * 3 / 2];
    let (luma, red) = (frame[130 * WIDTH + 235], frame[WIDTH * 180 * 5 / 4 + 65 * 160 + 117]);
    assert!(luma.abs_diff(63) <= 4 && red.abs_diff(240) <= 6, "{luma} {red}");
    let differing = plain[..WIDTH * 90].iter().zip(&marked).filter(|(a, b)| a.abs_diff(**b) > 8).count();
    assert!(differing < 200, "the upper half is as it was, but for the encoder: {differing}");

    // The clock shows another time each second.
    let Some(clock) = pictures(&["--watermark", "time=centre,zone=0,size=24,background=#000000"]) else {
        return;
    };
    let middle = |n: usize| -> Vec<u8> {
        let frame = &clock[n * WIDTH * 180 * 3 / 2..][..WIDTH * 180];
        (80..100).flat_map(|row| frame[row * WIDTH + 60..row * WIDTH + 282].to_vec()).collect()
    };
    let far =
        |a: usize, b: usize| middle(a).iter().zip(middle(b)).filter(|(x, y)| x.abs_diff(*y) > 60).count();
    assert!(far(2, 8) < 30, "{} within a second", far(2, 8));
    assert!(far(8, 12) > 40, "{} from one to the next", far(8, 12));
}

/// A PNG of one colour.
fn png(rgb: [u8; 3]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 16, 16);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&rgb.repeat(256)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_of_a_layout_are_fetched_and_those_that_fail_are_told() {
    let server = MockServer::start().await;
    let told = |number: &str| body_string_contains(format!("\"EventType\":{number},"));
    Mock::given(method("POST"))
        .and(told("309"))
        .respond_with(ResponseTemplate::new(200))
        .expect(3)
        .mount(&server)
        .await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let answer =
        ResponseTemplate::new(200).set_body_bytes(png([255, 0, 0])).set_delay(Duration::from_millis(300));
    Mock::given(path("/red.png")).respond_with(answer).expect(1).mount(&server).await;
    let noise = ResponseTemplate::new(200).set_body_bytes(vec![7; 100]);
    Mock::given(path("/noise.png")).respond_with(noise).mount(&server).await;
    let long = ResponseTemplate::new(200).set_body_bytes(vec![7; 5_000_001]);
    Mock::given(path("/long.png")).respond_with(long).mount(&server).await;

    let json = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let uri = server.uri();
    let mark = |name: &str| {
        format!(
            r#"{{"WaterMarkImage": {{"WaterMarkUrl": "{uri}/{name}.png", "Top": 0, "Left": 0, "Width": 80, "Height": 40}}}}"#
        )
    };
    let layout = format!(
        r#"{{"MixLayoutMode": 3, "BackgroundImageUrl": "{uri}/none.png", "WaterMarkList": [{}, {}, {}]}}"#,
        mark("red"),
        mark("noise"),
        mark("long")
    );
    std::fs::write(json.path(), layout).unwrap();
    let args =
        ["--layout", json.path().to_str().unwrap(), "--callback", &uri, "--callback-patience", "5", "-q"];
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &[&SMALL[..], &args, &["--allow-private-urls"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.verify().await;
    // The room waited for what was asked for: it is there from the first picture on.
    let name = names(&files(out.path()), ".m3u8").pop().unwrap();
    let Some(pictures) = ffmpeg::decode_i420(&out.path().join(name)) else { return };
    let red = pictures[320 * 180 * 5 / 4 + 10 * 160 + 20];
    assert!(red > 225, "{red}");

    // Private addresses are for those who ask for them.
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &[&SMALL[..], &args[..2], &["-q"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is refused: Loopback"));
    let Some(pictures) =
        ffmpeg::decode_i420(&out.path().join(names(&files(out.path()), ".m3u8").pop().unwrap()))
    else {
        return;
    };
    let red = pictures[320 * 180 * 5 / 4 + 10 * 160 + 20];
    assert!(red < 200, "{red}");
}

/// 25 sources of the corpus that differ in size, rate, profile and content.
fn people() -> Option<Vec<PathBuf>> {
    let signs = [
        "again", "bird", "book", "brother", "eat", "help", "hungry", "learn", "milk", "night", "no", "please",
    ];
    let camera = signs.map(|sign| format!("camera-set/asl_{sign}.h264"));
    let others = [
        "h264/Zhling_1280x720.264",
        "h264/VID_1280x720_cabac_temporal_direct.264",
        "h264/VID_1920x1080_cabac_temporal_direct.264",
        "h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264",
        "h264/Adobe_PDF_sample_a_1024x768_50Frms.264",
        "h264/LS_SVA_D.264",
        "mp4/count-video.mp4",
        "mp4/one-by-one-person-detection.mp4",
        "mp4/chrome.mp4",
        "mp4/sample.mp4",
        "mp4/seq_h264_1.mp4",
        "mp4/davidappend_v1.mp4",
        "mp4/cursed-vfr.mp4",
    ];
    camera.iter().map(String::as_str).chain(others).map(media_file).collect()
}

/// A frame is as large as the corpus calls for: 25 cells of 256x144.
const HD: [&str; 9] =
    ["--mode", "mixed", "--canvas", "1280x720", "--fps", "10", "--bitrate", "2000000", "-q"];

fn participants(files: &[PathBuf]) -> Vec<String> {
    let one = |(n, file): (usize, &PathBuf)| {
        // Short ones are played slowly or come later, so that at 1.4 s everybody is there.
        let more = match file.file_name().and_then(|name| name.to_str()) {
            Some("Zhling_1280x720.264") => ",fps=10",
            Some("Cisco_Men_whisper_640x320_CABAC_Bframe_9.264") => ",fps=5",
            Some("sample.mp4") => ",join=0.8",
            _ => "",
        };
        ["--participant".to_owned(), format!("u{n:02}={},leave=2{more}", file.display())]
    };
    files.iter().enumerate().flat_map(one).collect()
}

/// How many different samples of luma a part of a picture has.
fn variety(luma: &[u8], [left, top, width, height]: [usize; 4]) -> usize {
    let rows = (top..top + height).flat_map(|row| &luma[row * 1280 + left..][..width]);
    rows.collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn twenty_five_real_sources_are_seen_in_every_layout() {
    let Some(people) = people() else { return };
    let people = participants(&people);
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let json = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    // The grid once more, each window a little smaller.
    let window = |n: usize| {
        let (left, top) = (n % 5 * 256 + 8, n / 5 * 144 + 8);
        format!(r#"{{"Left": {left}, "Top": {top}, "Width": 240, "Height": 128}}"#)
    };
    let windows: Vec<String> = (0..25).map(window).collect();
    std::fs::write(
        json.path(),
        format!(r#"{{"MixLayoutMode": 4, "MixLayoutList": [{}]}}"#, windows.join(",")),
    )
    .unwrap();
    for layout in ["grid", "floating", "screen-share", json.path().to_str().unwrap()] {
        let out = tempfile::tempdir().unwrap();
        let large = if layout == "screen-share" { &["--large", "u14"][..] } else { &[] };
        let output = record(out.path(), &[&HD[..], &people, &["--layout", layout], large].concat());
        assert!(output.status.success(), "{layout}: {}", String::from_utf8_lossy(&output.stderr));
        assert_playable(out.path());
        let list = out.path().join(names(&files(out.path()), ".m3u8").pop().unwrap());
        let Some(pictures) = ffmpeg::decode_i420(&list) else { return };
        let frame = 1280 * 720 * 3 / 2;
        assert_eq!(pictures.len() % frame, 0);
        assert!(pictures.len() / frame >= 20, "{layout}: {} pictures", pictures.len() / frame);
        let luma = &pictures[14 * frame..][..1280 * 720];
        let cells: Vec<[usize; 4]> = match layout {
            // Of the large window the middle, and where the 25th small one would be.
            "floating" => {
                let small = (0..24).map(|n| [16 + n % 5 * 253, 576 - n / 5 * 142, 230, 130]);
                small.chain([[1028, 8, 240, 130]]).collect()
            }
            "screen-share" => {
                let beside = (0..16).map(|n| [1024 + n / 8 * 128 + 4, n % 8 * 90 + 4, 120, 80]);
                let below = (0..8).map(|n| [n * 128 + 4, 634, 120, 80]);
                beside.chain(below).chain([[10, 10, 1000, 600]]).collect()
            }
            _ => (0..25).map(|n| [n % 5 * 256 + 10, n / 5 * 144 + 10, 236, 124]).collect(),
        };
        assert_eq!(cells.len(), 25);
        for (n, cell) in cells.into_iter().enumerate() {
            assert!(variety(luma, cell) > 20, "{layout}: window {n} is flat: {}", variety(luma, cell));
        }
    }
}

#[test]
fn damaged_files_in_the_room_take_nobody_down() {
    let damaged = [
        "malformed/BA_MW_D_IDR_LOST.264",
        "malformed/Error_I_P.264",
        "malformed/sps_subsetsps_bothVUI.264",
        "malformed/sample_with_invalid_nalu.mp4",
        "malformed/sample_mdat_too_long.mp4",
        "malformed/sample_cbs_truncated.adts",
        "rtp/str0m_h264.h264",
    ];
    let Some(well) = media_file("mp4/chrome.mp4") else { return };
    let Some(damaged) = damaged.iter().map(|name| media_file(name)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let well = well.to_str().unwrap();
    let (alone, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Chrome has the canvas; the others are under a watermark as large as the picture's right half.
    let json = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let window = |n: usize| format!(r#"{{"Left": 640, "Top": {}, "Width": 320, "Height": 90}}"#, n * 90);
    let windows: Vec<String> = (0..7).map(window).collect();
    let own = r#"{"Left": 0, "Top": 0, "Width": 640, "Height": 720, "UserId": "well"}"#;
    let list = format!(r#"{{"MixLayoutMode": 4, "MixLayoutList": [{own}, {}]}}"#, windows.join(","));
    std::fs::write(json.path(), list).unwrap();
    let layout = ["--layout", json.path().to_str().unwrap()];
    let well = ["--participant".to_owned(), format!("well={well},leave=3")];
    let well: Vec<&str> = well.iter().map(String::as_str).collect();
    assert!(record(alone.path(), &[&HD[..], &well, &layout].concat()).status.success());
    let others = participants(&damaged);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    // What cannot be read is told, and the room goes on.
    let output = record(beside.path(), &[&HD[..], &well, &others, &layout].concat());
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    assert_playable(beside.path());
    let decoded = [&alone, &beside]
        .map(|out| ffmpeg::decode_i420(&out.path().join(names(&files(out.path()), ".m3u8").pop().unwrap())));
    let [Some(alone), Some(beside)] = decoded else { return };
    assert_eq!(alone.len(), beside.len());
    // The left half is as it was, but for the encoder.
    let frame = 1280 * 720 * 3 / 2;
    for (n, (a, b)) in alone.chunks(frame).zip(beside.chunks(frame)).enumerate() {
        let half = |luma: &[u8]| -> Vec<u8> {
            luma[..1280 * 720].chunks(1280).flat_map(|row| row[..632].to_vec()).collect()
        };
        let off: u64 = half(a).iter().zip(half(b)).map(|(x, y)| u64::from(x.abs_diff(y))).sum();
        assert!(off < 3 * 632 * 720, "picture {n} differs by {} a sample", off / (632 * 720));
    }
}

#[test]
fn what_the_service_refuses_is_refused_by_name() {
    let out = tempfile::tempdir().unwrap();
    for (args, why) in [
        (&["--canvas", "1922x1080"][..], "VideoParams.Width is 1922, range 16..1920"),
        (&["--canvas", "1920x1082"], "VideoParams has 2077440 pixels, at most 2073600"),
        (&["--canvas", "641x360"], "even"),
        (&["--canvas", "640"], "WIDTHxHEIGHT"),
        (&["--fps", "61"], "Fps is 61, range 1..60"),
        (&["--fps", "-1"], "Fps is -1"),
        (&["--bitrate", "63999"], "BitRate is 63999, range 64000..8192000"),
        (&["--gop", "0"], "Gop is 0"),
        (&["--audio-rate", "22050"], "48000, 44100 or 16000"),
        (&["--audio-channels", "3"], "Channel is 3"),
        (&["--audio-bitrate", "128001"], "BitRate is 128001, range 32000..128000"),
        (&["--layout", "mosaic"], "grid, floating, screen-share or a .json file"),
        (&["--layout", "/nowhere.json"], "/nowhere.json"),
        (&["--large", "alice"], "large window"),
        (&["--watermark", "text=x,left=639,top=0,width=200,height=20"], "outside the canvas"),
        (&["--watermark", "time=left"], "no place"),
        (&["--watermark", "sound=x"], "image, text or time"),
        (&["--watermark", "image=/nowhere.png"], "/nowhere.png"),
        (&["--font", "/nowhere.ttf"], "/nowhere.ttf"),
    ] {
        let output = record(out.path(), &[&["--mode", "mixed", "--seconds", "1"], args].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(why), "{args:?}: {told}");
    }
    let output = record(out.path(), &["--fps", "15"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--fps needs --mode mixed"));
    for (json, why) in [
        ("{", "the request is not JSON: line 1, column 1"),
        (r#"{"MixLayoutMode": 5}"#, "MixLayoutMode is 5, range 1..4"),
        (
            r#"{"MixLayoutMode": 3, "WaterMarkList": [{"WaterMarkType": 1}]}"#,
            "WaterMarkList.0.WaterMarkChar is missing",
        ),
        (r#"{"MixLayoutMode": 3, "Grid": 1}"#, "Grid is not recognized"),
        (
            r#"{"MixLayoutMode": 4, "MixLayoutList": [{"Top": 0, "Left": 0, "Width": 640, "Height": 10}]}"#,
            "window 0 of MixLayoutList reaches to 640,10",
        ),
    ] {
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        std::fs::write(file.path(), json).unwrap();
        let layout = file.path().to_str().unwrap();
        let output = record(out.path(), &["--mode", "mixed", "--seconds", "1", "--layout", layout]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{json}: {told}");
        assert!(told.contains(why), "{json}: {told}");
    }
}
