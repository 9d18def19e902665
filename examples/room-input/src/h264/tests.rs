use std::io::{Cursor, Read};

use super::*;

/// Bits from the left; a NAL unit when done.
#[derive(Clone, Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(mut self, bits: u32, value: u32) -> Self {
        self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let bits = u32::BITS - (value + 1).leading_zeros();
        self.u(bits - 1, 0).u(bits, value + 1)
    }

    fn ues(self, values: &[u32]) -> Self {
        values.iter().fold(self, |bits, &value| bits.ue(value))
    }

    fn se(self, value: i32) -> Self {
        let doubled = value.unsigned_abs() * 2;
        self.ue(if value > 0 { doubled - 1 } else { doubled })
    }

    /// Start code, header, stop bit, and emulation prevention.
    fn unit(self, header: u8) -> Vec<u8> {
        let mut bits = self.u(1, 1).0;
        bits.resize(bits.len().next_multiple_of(8), false);
        let mut unit = vec![0, 0, 1, header];
        for byte in bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))) {
            if unit[4..].ends_with(&[0, 0]) && byte <= 3 {
                unit.push(3);
            }
            unit.push(byte);
        }
        unit
    }
}

/// How the pictures of a built stream count.
#[derive(Clone, Copy)]
enum Order {
    /// 6 bits of `pic_order_cnt_lsb`.
    Zero,
    /// Two reference frames in a cycle, 4 apart; other pictures 2 before.
    One,
    Two,
}

/// Main profile, 176x144, 4 bits of `frame_num`.
fn sps(order: Order, is_interlaced: bool, reorder: Option<u32>) -> Vec<u8> {
    let bits = Bits::default().u(8, 77).u(8, 0).u(8, 30).ues(&[0, 0]);
    let bits = match order {
        Order::Zero => bits.ues(&[0, 2]),
        Order::One => bits.ue(1).u(1, 0).se(-2).se(1).ue(2).se(4).se(4),
        Order::Two => bits.ue(2),
    };
    let bits = bits.ue(4).u(1, 0).ues(&[10, if is_interlaced { 4 } else { 8 }]);
    let bits = if is_interlaced { bits.u(2, 0) } else { bits.u(1, 1) }.u(2, 0b10);
    match reorder {
        None => bits.u(1, 0),
        // Nothing but bitstream_restriction.
        Some(reorder) => bits.u(1, 1).u(8, 0).u(2, 0b11).ues(&[0, 0, 10, 10, reorder, 4]),
    }
    .unit(0x67)
}

fn pps(id: u32, has_redundant: bool) -> Vec<u8> {
    let bits = Bits::default().ues(&[id, 0]).u(2, 0).ues(&[0, 0, 0]).u(3, 0).se(0).se(0).se(0);
    bits.u(2, 0).u(1, has_redundant.into()).unit(0x68)
}

#[derive(Clone, Copy)]
struct SliceOf {
    first_mb: u32,
    pps: u32,
    frame_num: u32,
    /// `pic_order_cnt_lsb`; none for types 1 and 2, where the delta is 0 or absent.
    lsb: Option<u32>,
    has_delta: bool,
    idr: Option<u32>,
    is_reference: bool,
    /// Whether the stream has fields, and if this is one, whether the bottom one.
    field: Option<Option<bool>>,
    redundant: Option<u32>,
    resets: bool,
}

const P: SliceOf = SliceOf {
    first_mb: 0,
    pps: 0,
    frame_num: 0,
    lsb: Some(0),
    has_delta: false,
    idr: None,
    is_reference: true,
    field: None,
    redundant: None,
    resets: false,
};

const I: SliceOf = SliceOf { idr: Some(0), ..P };

impl SliceOf {
    fn unit(self) -> Vec<u8> {
        let mut bits =
            Bits::default().ues(&[self.first_mb, if self.idr.is_some() { 7 } else { 0 }, self.pps]);
        bits = bits.u(4, self.frame_num);
        bits = match self.field {
            None => bits,
            Some(None) => bits.u(1, 0),
            Some(Some(is_bottom)) => bits.u(1, 1).u(1, is_bottom.into()),
        };
        bits = self.idr.into_iter().fold(bits, Bits::ue);
        bits = self.lsb.into_iter().fold(bits, |bits, lsb| bits.u(6, lsb));
        if self.has_delta {
            bits = bits.se(0);
        }
        bits = self.redundant.into_iter().fold(bits, Bits::ue);
        if self.idr.is_none() {
            bits = bits.u(2, 0); // no override, no modification
        }
        if self.is_reference {
            bits = match (self.idr, self.resets) {
                (Some(_), _) => bits.u(2, 0),
                (None, true) => bits.u(1, 1).ues(&[1, 0, 5, 0]),
                (None, false) => bits.u(1, 0),
            };
        }
        let kind = if self.idr.is_some() { 5 } else { 1 };
        bits.u(32, 0xA5A5_A5A5).unit(kind | u8::from(self.is_reference) << 5)
    }
}

/// Gives a file in pieces of this many bytes.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(self.1);
        self.0.read(&mut buf[..len])
    }
}

/// Lengths and places (decoded, shown) of the access units, the same however the file is read.
fn run(units: &[Vec<u8>]) -> (Vec<usize>, Vec<i64>, Vec<Warning>) {
    let file = units.concat();
    let read = |piece| {
        let window = Window::new(Box::new(Trickle(Cursor::new(file.clone()), piece)));
        let mut stream = ByteStream::open(Path::new("x"), window, FrameRate::new(25, 1)).unwrap();
        let samples: Vec<Sample> = std::iter::from_fn(|| stream.next().unwrap()).collect();
        (samples, stream.warnings.take())
    };
    let (samples, warnings) = read(usize::MAX);
    for piece in [1, 2, 3, 7] {
        assert_eq!(read(piece), (samples.clone(), warnings.clone()), "read by {piece} bytes");
    }
    let shown = samples.iter().map(|sample| sample.pts.ticks() / 3600).collect();
    (samples.iter().map(|sample| sample.data.len()).collect(), shown, warnings)
}

fn lengths(units: &[&[Vec<u8>]]) -> Vec<usize> {
    units.iter().map(|units| units.iter().map(Vec::len).sum()).collect()
}

#[test]
fn slices_of_a_picture_stay_together_and_pictures_part() {
    let head = [sps(Order::Zero, false, Some(0)), pps(0, false), pps(1, false)];
    let slices = |slice: SliceOf, first: &[u32]| -> Vec<Vec<u8>> {
        first.iter().map(|&first_mb| SliceOf { first_mb, ..slice }.unit()).collect()
    };
    let first = [&head[..], &slices(I, &[0, 33, 66])].concat();
    for (name, second, third) in [
        ("frame_num", slices(P, &[0, 33, 66]), slices(SliceOf { frame_num: 1, lsb: Some(2), ..P }, &[0, 50])),
        (
            "only the order differs",
            slices(SliceOf { is_reference: false, ..P }, &[0]),
            slices(SliceOf { is_reference: false, lsb: Some(2), ..P }, &[0, 11, 22]),
        ),
        ("another PPS", slices(P, &[0, 40]), slices(SliceOf { pps: 1, ..P }, &[0, 40])),
        ("reference or not", slices(P, &[0]), slices(SliceOf { is_reference: false, ..P }, &[0])),
        (
            "the first slice is lost",
            slices(P, &[0, 33]),
            slices(SliceOf { frame_num: 1, lsb: Some(2), ..P }, &[66]),
        ),
        (
            "in any order",
            slices(P, &[66, 0, 33]),
            slices(SliceOf { frame_num: 1, lsb: Some(2), ..P }, &[33, 0]),
        ),
        ("two IDR pictures", slices(SliceOf { idr: Some(1), ..I }, &[0, 9]), slices(I, &[0, 9])),
        ("the same twice", slices(P, &[0, 9]), slices(P, &[0, 9])),
    ] {
        let (got, ..) = run(&[&first[..], &second, &third].concat());
        assert_eq!(got, lengths(&[&first, &second, &third]), "{name}");
    }
}

#[test]
fn what_stands_before_a_picture_goes_with_it() {
    let first = [
        vec![0, 0, 0, 1, 9, 0x10],
        sps(Order::Two, false, None),
        pps(0, false),
        SliceOf { lsb: None, ..I }.unit(),
    ];
    let next = |frame_num| SliceOf { lsb: None, frame_num, ..P }.unit();
    let second = [vec![0, 0, 0, 1, 9, 0x30], vec![0, 0, 1, 6, 5, 1, 0x80], next(1)];
    // Filler data and an end of sequence are of the picture before.
    let third = [pps(0, false), next(2), vec![0, 0, 1, 12, 0xFF, 0x80], vec![0, 0, 1, 10]];
    let fourth = [SliceOf { lsb: None, ..I }.unit()];
    let trailing = [pps(0, false), vec![0, 0, 1, 6, 5, 1, 0x80]];
    let all = [&first[..], &second, &third, &fourth, &trailing].concat();
    let (got, shown, warnings) = run(&all);
    assert_eq!(got, lengths(&[&first, &second, &third, &fourth]));
    assert_eq!((shown, warnings), (vec![0, 1, 2, 3], vec![]));
    let junk = [vec![vec![7; 5]], all].concat();
    let (got, _, warnings) = run(&junk);
    assert_eq!(got[1..], lengths(&[&second, &third, &fourth]));
    assert_eq!(warnings, [Warning::Junk { at: 0, bytes: 5 }]);
}

#[test]
fn spare_slices_and_extension_layers_begin_nothing() {
    let head = [sps(Order::Zero, false, Some(0)), pps(0, true)];
    let p = SliceOf { redundant: Some(0), ..P };
    let first = [&head[..], &[SliceOf { redundant: Some(0), ..I }.unit()]].concat();
    let spare = SliceOf { redundant: Some(1), ..p }.unit();
    let second = [p.unit(), SliceOf { first_mb: 50, ..p }.unit(), spare];
    let (got, ..) = run(&[&first[..], &second].concat());
    assert_eq!(got, lengths(&[&first, &second]));

    let (prefix, layer, subset) =
        (vec![0, 0, 1, 0x6E, 1, 2, 3], vec![0, 0, 1, 0x74, 1, 2, 3], vec![0, 0, 1, 0x6F, 9]);
    let mut layered = vec![head[0].clone(), subset, head[1].clone()];
    let kept = [SliceOf { redundant: Some(0), ..I }, SliceOf { first_mb: 9, redundant: Some(0), ..I }, p];
    for slice in kept {
        layered.extend([prefix.clone(), slice.unit()]);
        if slice.idr.is_none() || slice.first_mb > 0 {
            layered.push(layer.clone());
        }
    }
    let (got, ..) = run(&layered);
    // Copied with four-byte start codes.
    let [a, b, c] = kept.map(|slice| slice.unit().len() + 1);
    assert_eq!(got, [head[0].len() + head[1].len() + 2 + a + b, c]);
}

#[test]
fn fields_of_a_frame_are_one_access_unit() {
    let head = [sps(Order::Zero, true, Some(1)), pps(0, false)];
    let field = |slice: SliceOf, is_bottom, lsb| {
        SliceOf { field: Some(Some(is_bottom)), lsb: Some(lsb), ..slice }.unit()
    };
    let first = [&head[..], &[field(I, false, 0), pps(0, false), field(P, true, 1)]].concat();
    let p = SliceOf { frame_num: 1, ..P };
    let b = SliceOf { frame_num: 2, is_reference: false, ..P };
    let second = [field(p, false, 8), field(p, true, 9)];
    let third = [field(b, true, 5), field(b, false, 4)];
    // A field alone, and a frame.
    let fourth = [field(SliceOf { frame_num: 2, ..P }, false, 12)];
    let fifth = [SliceOf { frame_num: 3, field: Some(None), lsb: Some(16), ..P }.unit()];
    let (got, shown, _) = run(&[&first[..], &second, &third, &fourth, &fifth].concat());
    assert_eq!(got, lengths(&[&first, &second, &third, &fourth, &fifth]));
    assert_eq!(shown, [1, 3, 2, 4, 5]);
}

#[test]
fn every_type_of_order_count_gives_display_order() {
    let b = SliceOf { is_reference: false, ..P };
    let lsb = |slice: SliceOf, frame_num, lsb| SliceOf { frame_num, lsb: Some(lsb), ..slice };
    let plain = |slice: SliceOf, frame_num| SliceOf { frame_num, lsb: None, ..slice };
    let delta = |slice: SliceOf, frame_num| SliceOf { has_delta: true, ..plain(slice, frame_num) };
    for (name, order, reorder, slices, want) in [
        (
            "0",
            Order::Zero,
            Some(1),
            vec![I, lsb(P, 1, 4), lsb(b, 2, 2), lsb(P, 2, 8), lsb(b, 3, 6)],
            vec![1, 3, 2, 5, 4],
        ),
        (
            "0, wrapping",
            Order::Zero,
            None,
            {
                let frame = |n: u32, slice, ahead| lsb(slice, n % 16, (2 * (n + ahead)) % 64);
                let group = |n: u32| [frame(2 * n + 2, P, 0), frame(2 * n + 1, b, 0)];
                std::iter::once(I).chain((0..40).flat_map(group)).collect()
            },
            std::iter::once(1).chain((0..40).flat_map(|n| [2 * n + 3, 2 * n + 2])).collect(),
        ),
        (
            "1",
            Order::One,
            Some(1),
            vec![delta(I, 0), delta(P, 1), delta(b, 2), delta(P, 2), delta(b, 3)],
            vec![1, 3, 2, 5, 4],
        ),
        (
            "2",
            Order::Two,
            None,
            (0..40).map(|n| plain(if n == 0 { I } else { P }, n % 16)).collect(),
            (0..40).collect(),
        ),
        (
            "reset",
            Order::Zero,
            Some(1),
            vec![
                I,
                lsb(P, 1, 4),
                lsb(b, 2, 2),
                SliceOf { resets: true, ..lsb(P, 2, 40) },
                lsb(P, 1, 4),
                lsb(b, 2, 2),
            ],
            vec![1, 3, 2, 4, 6, 5],
        ),
        (
            "a lost IDR",
            Order::Zero,
            Some(0),
            vec![I, lsb(P, 1, 2), lsb(P, 2, 4), lsb(P, 1, 2), lsb(P, 2, 4)],
            vec![0, 1, 2, 3, 4],
        ),
    ] {
        let mut units = vec![sps(order, false, reorder), pps(0, false)];
        units.extend(slices.iter().map(|slice| slice.unit()));
        let (_, shown, warnings) = run(&units);
        assert_eq!(shown, want, "{name}");
        assert_eq!(warnings, [], "{name}");
    }
}

#[test]
fn a_stream_that_begins_without_parameter_sets_keeps_its_pictures() {
    let slice = |frame_num, first_mb| SliceOf { frame_num, first_mb, lsb: Some(frame_num * 2), ..P }.unit();
    let first = [slice(1, 0), slice(1, 40)];
    let second = [slice(2, 0), slice(2, 40)];
    let third = [sps(Order::Zero, false, Some(1)), pps(0, false), I.unit()];
    let (got, shown, warnings) = run(&[&first[..], &second, &third].concat());
    assert_eq!(got, lengths(&[&first, &second, &third]));
    assert_eq!(shown, [0, 1, 2]);
    assert_eq!(warnings, [0, 1].map(|picture| Warning::NoParameterSets { picture }));
}

#[test]
fn a_file_without_a_picture_is_refused_by_name() {
    for file in
        [vec![], vec![0; 9], sps(Order::Two, false, None), vec![1, 2, 3], vec![0, 0, 1], vec![0, 0, 1, 5]]
    {
        let window = Window::new(Box::new(Cursor::new(file)));
        let error = ByteStream::open(Path::new("x.264"), window, None).err();
        assert_eq!(error.map(|error| error.to_string()), Some("no H.264 picture in x.264".to_owned()));
    }
}
