//! What is red in the room is red in the files: through decoder, canvas, encoder, MP4 and HLS, as FFmpeg shows them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use recorder_codec::{
    DecodedPicture, H264Decoder, H264DecoderOptions, H264Encoder, H264EncoderOptions, I420, PictureKind,
    VideoDecoder, VideoEncoder, YuvMatrix,
};
use recorder_compositor::{Bitmap, Colour, Matrix, PictureBuffer, Range, Rect, RenderMode, Rgb, Tile};
use recorder_hls::{AccessUnit, Action, PlaylistHeader, PlaylistText, Segmenter, SegmenterOptions, Streams};
use recorder_mixer::{Image, Mark, Mixed, Scene, Unit, Window};
use recorder_mp4::{AvcPacker, MovieIndex, MovieWriter, ParameterSets, SampleInfo, TrackSetup};
use recorder_testkit::ffmpeg;
use recorder_types::{
    H264Config, MediaId, NalFraming, RoomTime, Sample, Size, Timescale, Timestamp, TrackConfig, UnixMillis,
};
use support::{SIZE, drain, h264, mixer, options, video};

const CANVAS: (u32, u32) = (640, 360);
/// Of the middle of a window, in steps of 8 bits. Red by one matrix shown by the other is off by 24 in green.
const NEAR: u8 = 8;

fn size(of: (u32, u32)) -> Size {
    Size::new(of.0, of.1).unwrap()
}

fn colour(matrix: Matrix) -> Colour {
    Colour { matrix, range: Range::Limited }
}

/// A second of one colour, encoded by a camera that tells its matrix.
fn camera(rgb: Rgb, matrix: Matrix) -> Vec<Unit> {
    let told = if matrix == Matrix::Bt601 { YuvMatrix::Bt601 } else { YuvMatrix::Bt709 };
    let mut encoder = H264Encoder::new(&H264EncoderOptions::default().with_matrix(told)).unwrap();
    let samples = colour(matrix).samples(rgb);
    let area = usize::try_from(SIZE.0 * SIZE.1).unwrap();
    let data = [vec![samples.y; area], vec![samples.u; area / 4], vec![samples.v; area / 4]].concat();
    let picture = I420::packed(size(SIZE), &data).unwrap();
    let scale = Timescale::new(10).unwrap();
    let mut out = Vec::new();
    for n in 0..10 {
        encoder.encode(&picture, Timestamp::new(n, scale), PictureKind::Any, &mut out).unwrap();
    }
    out.into_iter()
        .map(|picture| {
            let at = picture.sample.pts.to_room_time().unwrap();
            Unit { pts: at, dts: at, data: picture.sample.data }
        })
        .collect()
}

/// The colour as a video, a placeholder, a watermark and the background, in the four quarters of the canvas.
fn scene(rgb: Rgb, placeholder: Matrix) -> Scene {
    let quarter = size((CANVAS.0 / 2, CANVAS.1 / 2));
    let tile = |left, top| Tile::new(Rect::new(left, top, quarter).unwrap()).with_mode(RenderMode::Stretch);
    let mut picture = PictureBuffer::new(size((64, 36))).unwrap();
    picture.fill(Rect::whole(picture.size()), colour(placeholder).samples(rgb)).unwrap();
    let image = Image { picture, colour: colour(placeholder) };
    let mut scene = Scene::default();
    scene.background = rgb;
    scene.windows = vec![
        Window::new(tile(0, 0), Some(("ann".parse().unwrap(), MediaId::Main))),
        Window::new(tile(320, 0), Some(("ben".parse().unwrap(), MediaId::Main)))
            .with_placeholder(Some(Arc::new(image))),
    ];
    let pixels = [rgb.red, rgb.green, rgb.blue, 255].repeat(320 * 180);
    let bitmap = Arc::new(Bitmap::new(quarter, pixels).unwrap());
    scene.marks = vec![Mark::Still { bitmap, left: 0, top: 180 }].into();
    scene
}

fn mixed(rgb: Rgb, source: Matrix, canvas: Matrix) -> Vec<(RoomTime, Bytes)> {
    let video_options = options().video.unwrap().with_matrix(Some(canvas)).with_bits_per_second(2_000_000);
    let mut mixer = mixer(options().with_audio(None).with_video(Some(video_options)));
    mixer.set_scene(RoomTime::ZERO, scene(rgb, source)).unwrap();
    mixer.publish(RoomTime::ZERO, video("ann"), h264()).unwrap();
    for unit in camera(rgb, source) {
        mixer.push(&video("ann"), unit).unwrap();
    }
    mixer.finish(RoomTime::from_secs(1)).unwrap();
    let pictures = drain(&mut mixer).into_iter();
    pictures
        .filter_map(|one| if let Mixed::Picture { at, data, .. } = one { Some((at, data)) } else { None })
        .collect()
}

fn annex_b() -> H264Config {
    H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() }
}

fn write_mp4(folder: &Path, pictures: &[(RoomTime, Bytes)]) -> PathBuf {
    let mut packer = AvcPacker::new(&annex_b(), ParameterSets::InEntry, None);
    let packed: Vec<_> = pictures.iter().map(|(_, data)| packer.pack(data).unwrap()).collect();
    let mut index = MovieIndex::new();
    let entry = packed[0].entry.clone().unwrap();
    let track = index.add_track(TrackSetup::new(entry, Timescale::HZ_90000)).unwrap();
    for ((at, _), picture) in pictures.iter().zip(&packed) {
        let at = Timestamp::new(at.round_to_ticks(Timescale::HZ_90000), Timescale::HZ_90000);
        let len = u32::try_from(picture.data.len()).unwrap();
        index.push(track, SampleInfo { pts: at, dts: at, duration: 9000, sync: picture.sync, len }).unwrap();
    }
    let mut writer = MovieWriter::new(index.finish().unwrap());
    let mut file = Vec::new();
    for picture in packed {
        writer.push(track, picture.data).unwrap();
        writer.write_to(&mut file).unwrap();
    }
    writer.finish().unwrap();
    let path = folder.join("mix.mp4");
    std::fs::write(&path, file).unwrap();
    path
}

fn write_hls(folder: &Path, pictures: &[(RoomTime, Bytes)]) -> PathBuf {
    let header = PlaylistHeader::single(MediaId::Main, "ann".parse().unwrap());
    let options = SegmenterOptions::new("mix".parse().unwrap(), header).unwrap();
    let mut segmenter = Segmenter::new(options);
    let TrackConfig::H264(config) = h264() else { unreachable!() };
    segmenter.set_streams(Streams { video: Some(config), audio: None });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
    for (at, data) in pictures {
        let _written = segmenter.push_video(&AccessUnit { pts: *at, dts: *at, data: data.clone() }).unwrap();
    }
    segmenter.finish();
    let (mut playlist, mut segment, mut name) = (PlaylistText::new(), Vec::new(), None);
    while let Some(action) = segmenter.poll() {
        match action {
            Action::OpenSegment { name: opened } => name = Some(opened),
            Action::SegmentData { data } => segment.extend_from_slice(&data),
            Action::CloseSegment(_) => {
                std::fs::write(folder.join(name.take().unwrap().as_str()), std::mem::take(&mut segment))
                    .unwrap();
            }
            Action::Playlist(update) => playlist.apply(&update),
            other => panic!("{other:?}"),
        }
    }
    let path = folder.join("mix.m3u8");
    std::fs::write(&path, playlist.to_string()).unwrap();
    path
}

/// Sound begins a little before the pictures, as in most files: the canvas has their matrix and not that of its size, which
/// would be BT.601.
#[test]
fn the_matrix_is_that_of_the_first_source_that_is_known() {
    for (from, expected) in [(21, Matrix::Bt709), (299, Matrix::Bt709), (301, Matrix::Bt601)] {
        let mut mixer = mixer(options());
        mixer.set_scene(RoomTime::ZERO, scene(Rgb::BLACK, Matrix::Bt709)).unwrap();
        mixer.publish(RoomTime::ZERO, video("ann"), h264()).unwrap();
        for unit in camera(Rgb::BLACK, Matrix::Bt709) {
            let at = unit.pts.saturating_add(RoomTime::from_millis(from));
            mixer.push(&video("ann"), Unit { pts: at, dts: at, data: unit.data }).unwrap();
        }
        mixer.advance(RoomTime::from_secs(1)).unwrap();
        let sets = drain(&mut mixer).into_iter().find_map(|one| match one {
            Mixed::Picture { data, .. } => Some(data),
            Mixed::Sound { .. } => None,
        });
        let mut decoder = H264Decoder::new(&annex_b(), &H264DecoderOptions::default()).unwrap();
        let mut told = None;
        let mut sink = |picture: &DecodedPicture<'_>| told = picture.colour.matrix;
        decoder
            .decode(&Sample::new(Timestamp::new(0, Timescale::HZ_90000), sets.unwrap()), &mut sink)
            .unwrap();
        decoder.flush(&mut sink).unwrap();
        let code = if expected == Matrix::Bt709 { [1, 1] } else { [5, 6] };
        assert!(told.is_some_and(|told| code.contains(&told)), "pictures after {from} ms: {told:?}");
    }
}

#[test]
fn red_stays_red_through_mp4_and_hls() {
    use Matrix::{Bt601, Bt709};
    let [red, green, blue] = [Rgb::new(255, 0, 0), Rgb::new(0, 255, 0), Rgb::new(0, 0, 255)];
    for (rgb, source, canvas) in [
        (red, Bt601, Bt601),
        (red, Bt601, Bt709),
        (red, Bt709, Bt601),
        (red, Bt709, Bt709),
        (green, Bt601, Bt709),
        (blue, Bt709, Bt601),
    ] {
        let pictures = mixed(rgb, source, canvas);
        assert_eq!(pictures.len(), 10);
        let folder = tempfile::tempdir().unwrap();
        for file in [write_mp4(folder.path(), &pictures), write_hls(folder.path(), &pictures)] {
            let name = file.extension().unwrap().to_string_lossy().into_owned();
            let told = ffmpeg::probe(&file, &["-show_entries", "stream=color_range,color_space"]);
            let Some(pixels) = ffmpeg::decode_rgb(&file) else { return };
            let space = if canvas == Bt601 { "smpte170m" } else { "bt709" };
            let told = told.unwrap_or_default();
            assert!(told.contains(&format!("tv,{space}")), "{name}: {told}");

            let frame = usize::try_from(CANVAS.0 * CANVAS.1 * 3).unwrap();
            assert_eq!(pixels.len(), 10 * frame, "{name}");
            for (number, picture) in pixels.chunks_exact(frame).enumerate() {
                for (what, x, y) in [
                    ("video", 160, 90),
                    ("placeholder", 480, 90),
                    ("watermark", 160, 270),
                    ("background", 480, 270),
                ] {
                    let at = (y * 640 + x) * 3;
                    let got = &picture[at..at + 3];
                    let wanted = [rgb.red, rgb.green, rgb.blue];
                    let off = got.iter().zip(wanted).map(|(a, b)| a.abs_diff(b)).max();
                    assert!(
                        off <= Some(NEAR),
                        "{name}, {source:?} to {canvas:?}, picture {number}, {what}: {got:?}"
                    );
                }
            }
        }
    }
}
