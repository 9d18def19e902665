//! Recordings of others: whole, in place, and readable by another decoder.
#![cfg(all(feature = "opus", feature = "aac"))]
#![allow(clippy::unwrap_used)]

mod support;

use recorder_codec::{AacDecoder, AudioDecoder, OpusDecoder};
use recorder_types::OpusConfig;
use recorder_types::aac::AdtsFrame;
use support::{decibels, ffmpeg, have_ffmpeg, lag, media, ogg_opus, rms, rtp_opus, transcode};

#[test]
fn ogg_opus_files_are_transcoded_whole_and_in_place() {
    for name in ["audio/silero_speech.opus", "audio/bear.opus"] {
        let Some(file) = media(name) else { continue };
        let (config, packets, plays) = ogg_opus(&file);
        let done = transcode(config, &packets);
        assert_eq!(done.stats.packets, u64::try_from(packets.len()).unwrap(), "{name}");
        let [(0, frames)] = done.runs()[..] else { panic!("{name}: {:?}", done.runs()) };
        // The end trimming of Ogg is not in the packets, so up to one packet more may be heard.
        let length = i64::try_from(frames).unwrap() * 1024;
        assert!((plays..plays + 1024 + 960).contains(&length), "{name}: {length} for {plays}");

        let channels = usize::from(config.channels);
        let mut said = Vec::new();
        let mut decoder = OpusDecoder::new(config.channels).unwrap();
        for packet in &packets {
            decoder.decode(&packet.data, &mut said).unwrap();
        }
        let said = &said[usize::from(config.pre_skip) * channels..];
        let heard = done.decode();
        let level = decibels(rms(&heard) / rms(said));
        assert!(level.abs() < 1.0, "{name}: {level:.2} dB");
        let (said, heard) = (support::channel(said, 0, channels), support::channel(&heard, 0, channels));
        let off = lag(&said[24_000..96_000], &heard[24_000..], 240);
        assert_eq!(off, 0, "{name}");

        if have_ffmpeg() {
            let pcm = ffmpeg(&done.adts(), "aac", &["-f", "f32le"]);
            assert_eq!(pcm.len(), frames * 1024 * channels * 4, "{name}");
            let pcm: Vec<f32> =
                pcm.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            let other = support::channel(&pcm, 0, channels);
            let difference: Vec<_> = heard.iter().zip(&other).map(|(a, b)| a - b).collect();
            assert!(rms(&difference) < 1e-4, "{name}: decoders differ by {}", rms(&difference));
        }
    }
}

#[test]
fn a_call_with_lost_packets_is_as_long_as_without() {
    let (Some(whole), Some(lossy)) =
        (media("rtp/opus_60s_fec_rtp.pcapng"), media("rtp/opus_60s_fec_dropped.pcapng"))
    else {
        return;
    };
    let live = OpusConfig { channels: 1, pre_skip: 0 };
    let [whole, lossy] = [whole, lossy].map(|file| transcode(live, &rtp_opus(&file)));
    assert_eq!((whole.stats.packets, lossy.stats.packets), (3000, 2971));
    assert_eq!(whole.frames.len(), (60 * 48_000usize).div_ceil(1024));
    assert_eq!((whole.stats.concealed_samples, lossy.stats.concealed_samples), (0, 29 * 960));
    assert_eq!(lossy.frames.len(), whole.frames.len());
    let [whole, lossy] = [whole, lossy].map(|done| done.decode());
    // The level of each tenth of a second stays, whether packets of it were lost or not.
    for (n, (a, b)) in whole.chunks(4800).zip(lossy.chunks(4800)).enumerate().skip(1) {
        let difference = decibels(rms(b) / rms(a).max(1e-6));
        assert!(difference.abs() < 6.0, "{difference:.1} dB at {n} tenths");
    }
}

#[test]
fn adts_files_are_decoded_as_another_decoder_does() {
    for name in ["audio/sample.adts", "audio/count-english.adts.aac"] {
        let Some(file) = media(name) else { continue };
        let mut decoder = None;
        let (mut rest, mut pcm, mut frames) = (&file[..], Vec::new(), 0);
        while let Ok(frame) = AdtsFrame::parse(rest) {
            let decoder = decoder.get_or_insert_with(|| AacDecoder::new(frame.config).unwrap());
            decoder.decode(&rest[frame.header_len..frame.frame_len], &mut pcm).unwrap();
            rest = &rest[frame.frame_len..];
            frames += 1;
        }
        assert!(rest.is_empty() && frames > 100, "{name}: {frames} frames");
        if have_ffmpeg() {
            let other = ffmpeg(&file, "aac", &["-f", "f32le"]);
            let other: Vec<f32> =
                other.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            // ffmpeg leaves a frame of priming out where it can tell.
            assert!(
                [0, 1024].contains(&(pcm.len() - other.len())),
                "{name}: {} and {}",
                pcm.len(),
                other.len()
            );
            let pcm = &pcm[pcm.len() - other.len()..];
            let difference: Vec<_> = pcm.iter().zip(&other).map(|(a, b)| a - b).collect();
            assert!(rms(&difference) < 1e-4, "{name}: decoders differ by {}", rms(&difference));
        }
    }
}
