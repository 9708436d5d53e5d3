//! A file as the bytes that were packed into it, with an end to how many that can be.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Error;

/// No package is larger when it is unpacked, in bytes.
pub const MAX_BYTES: u64 = 20 << 30;

/// How many times larger what is unpacked may be.
const MAX_RATIO: u64 = 200;

/// Up to here that does not matter, in bytes.
const FREE_BYTES: u64 = 64 << 20;

/// What is decompressed at once, in bytes.
const CHUNK: usize = 128 << 10;

/// zstd's window, which lies in memory, in bytes: what `zstd --ultra -22` uses.
const MAX_WINDOW: u64 = 128 << 20;

/// Gives what was packed, whatever with: gzip and zstd are known by their first bytes.
pub fn decompress<R: Read>(source: R) -> Result<Bounded<R>, Error> {
    let taken = Rc::new(Cell::new(0));
    let mut source = BufReader::with_capacity(CHUNK, Counted { source, taken: Rc::clone(&taken) });
    // A file gives its beginning at once.
    let begin = source.fill_buf().map_err(Error::Read)?;
    let packed = match begin {
        [0x1f, 0x8b, ..] => Packed::Gzip(Box::new(MultiGzDecoder::new(source))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Packed::Zstd(Box::new(Zstd::new(source)))
        }
        _ => Packed::Plain(source),
    };
    Ok(Bounded { packed, given: 0, taken })
}

/// The bytes that were packed, until there are too many of them.
pub struct Bounded<R> {
    packed: Packed<R>,
    given: u64,
    taken: Rc<Cell<u64>>,
}

enum Packed<R> {
    Plain(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<Zstd<R>>),
}

type Source<R> = BufReader<Counted<R>>;

impl<R> Bounded<R> {
    /// Whether nothing packs them.
    pub fn is_plain(&self) -> bool {
        matches!(self.packed, Packed::Plain(_))
    }

    /// What the bytes come from.
    pub fn into_inner(self) -> R {
        match self.packed {
            Packed::Plain(source) => source,
            Packed::Gzip(decoder) => decoder.into_inner(),
            Packed::Zstd(decoder) => decoder.source,
        }
        .into_inner()
        .source
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.packed {
            Packed::Plain(source) => source.read(buffer),
            Packed::Gzip(decoder) => decoder.read(buffer),
            Packed::Zstd(decoder) => decoder.read(buffer),
        }?;
        self.given += count as u64;
        let too_large = if self.given > MAX_BYTES {
            format!("it holds more than the {} GiB that a package may have", MAX_BYTES >> 30)
        } else if self.given > FREE_BYTES && self.given / MAX_RATIO > self.taken.get() {
            format!("it grows to more than {MAX_RATIO} times its size when it is unpacked")
        } else {
            return Ok(count);
        };
        Err(io::Error::other(Error::TooLarge(too_large)))
    }
}

struct Counted<R> {
    source: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

/// Frames of zstd, one after the other (RFC 8878).
struct Zstd<R> {
    source: Source<R>,
    decoder: FrameDecoder,
    /// Whether a frame has begun and not ended.
    in_frame: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: Source<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { source, decoder, in_frame: false }
    }

    /// Begins the next frame that has something in it; `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(self.wrong(&error)),
            }
        }
        Ok(false)
    }

    /// What is missing is told from what is wrong by whether there is more.
    fn wrong(&mut self, error: &FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error,
            Ok(_) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin()? {
                return Ok(0);
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if self.decoder.is_finished() {
                let (said, computed) =
                    (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
                if said.is_some() && said != computed {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another one"));
                }
                self.in_frame = false;
                continue;
            }
            let strategy = BlockDecodingStrategy::UptoBytes(CHUNK);
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, strategy) {
                return Err(self.wrong(&error));
            }
        }
    }
}
