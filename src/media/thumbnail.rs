//! How an image becomes a smaller one. Pure computing and reading of one file; it blocks.
//!
//! Specification v1.19, client-server API, "Thumbnails". Thumbnails are made in a few sizes only, so that a reader
//! cannot fill the disk by asking for all of them; the answer is the next larger size.

use std::{fs::File, io::BufReader, path::Path};

use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, png::PngDecoder},
    metadata::Orientation,
};
use parking_lot::Mutex;

use super::MediaError;

/// Images with more pixels are refused: decoded, they would take hundreds of megabytes.
const PIXELS_MAX: u64 = 50_000_000;
/// Memory that one decoder may take, in bytes.
const DECODER_BYTES_MAX: u64 = 256 << 20;
/// Of images with more pixels than this, one at a time is decoded.
const LARGE_PIXELS: u64 = 8_000_000;
/// Between small files and visible flaws.
const JPEG_QUALITY: u8 = 80;

/// Widths and heights in which images are cropped, and in which those that are not square are rounded up.
const CROP_SIZES: [u32; 8] = [32, 64, 96, 160, 240, 320, 640, 800];
/// Boxes into which images are scaled.
const SCALE_SIZES: [(u32, u32); 6] = [(96, 96), (320, 240), (640, 480), (800, 600), (1280, 1024), (1920, 1440)];

static LARGE: Mutex<()> = Mutex::new(());

/// How an image is made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It fills the asked size; what does not fit is cut off.
    Crop,
    /// It fits into the asked size, whole.
    Scale,
}

/// The size of a thumbnail, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    width: u32,
    height: u32,
    method: Method,
}

impl Wanted {
    /// The next larger size that is made. One larger than all stands for the image as it is.
    pub fn at_least(width: u64, height: u64, method: Method) -> Self {
        let found = match method {
            Method::Crop => {
                let step = |wanted: u64| CROP_SIZES.into_iter().find(|size| u64::from(*size) >= wanted);
                step(width).zip(step(height))
            }
            Method::Scale => SCALE_SIZES.into_iter().find(|(w, h)| u64::from(*w) >= width && u64::from(*h) >= height),
        };
        let (width, height) = found.unwrap_or((u32::MAX, u32::MAX));
        // Neither method changes an image that is too small for it.
        Self { width, height, method: if found.is_some() { method } else { Method::Scale } }
    }

    /// A word for the name of the file.
    pub(super) fn name(self) -> String {
        match (self.width, self.method) {
            (u32::MAX, _) => "whole".to_owned(),
            (width, Method::Crop) => format!("{width}x{}-crop", self.height),
            (width, Method::Scale) => format!("{width}x{}-scale", self.height),
        }
    }

    /// To which size an image is resized, and which part of that is cut out of its middle. `None`: it stays as it is.
    fn plan(self, (width, height): (u32, u32)) -> Option<Plan> {
        if width <= self.width && height <= self.height {
            return None;
        }
        let wider = u64::from(width) * u64::from(self.height) >= u64::from(height) * u64::from(self.width);
        let by_width = (self.width, scaled(height, self.width, width));
        let by_height = (scaled(width, self.height, height), self.height);
        let (resized, cut) = match self.method {
            Method::Scale => {
                let fitting = if wider { by_width } else { by_height };
                (fitting, fitting)
            }
            // Never larger than the image: one too low or too narrow is only cut.
            Method::Crop if width <= self.width || height <= self.height => {
                ((width, height), (width.min(self.width), height.min(self.height)))
            }
            Method::Crop => (if wider { by_height } else { by_width }, (self.width, self.height)),
        };
        Some(Plan { resized, cut })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    resized: (u32, u32),
    cut: (u32, u32),
}

/// `length * numerator / denominator`, at least one pixel.
fn scaled(length: u32, numerator: u32, denominator: u32) -> u32 {
    let scaled = u64::from(length) * u64::from(numerator) / u64::from(denominator.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// The formats of thumbnails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Jpeg, Self::Png];

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// What came out.
pub(super) enum Made {
    /// The file itself is the thumbnail.
    Same(Format),
    /// A new image.
    New(Format, Vec<u8>),
}

/// Makes the thumbnail of a file.
///
/// # Errors
/// [`MediaError::NotAnImage`], also for formats other than PNG, JPEG, GIF and WebP, and [`MediaError::ImageTooLarge`].
pub(super) fn make(path: &Path, wanted: Wanted) -> Result<Made, MediaError> {
    let mut reader = ImageReader::new(BufReader::new(File::open(path)?)).with_guessed_format()?;
    let format = reader
        .format()
        .filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP));
    let format = format.ok_or(MediaError::NotAnImage)?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS_MAX || decoder.total_bytes() > DECODER_BYTES_MAX {
        return Err(MediaError::ImageTooLarge);
    }
    // An unreadable orientation is none.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let upright = if turns(orientation) { (height, width) } else { (width, height) };
    let plan = wanted.plan(upright);
    if plan.is_none()
        && let Some(same) = still(path, format)?
    {
        return Ok(Made::Same(same));
    }
    let _turn = (pixels > LARGE_PIXELS).then(|| LARGE.lock());
    let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    let mut image = match plan {
        Some(plan) => shrink(&image, &plan, turns(orientation)),
        None => image,
    };
    image.apply_orientation(orientation);
    let as_jpeg = match format {
        ImageFormat::Jpeg => true,
        ImageFormat::WebP => !image.color().has_alpha(),
        _ => false,
    };
    encode(&image, if as_jpeg { Format::Jpeg } else { Format::Png })
}

fn shrink(image: &DynamicImage, plan: &Plan, turned: bool) -> DynamicImage {
    // The plan is for the upright image, the pixels are not upright yet.
    let swap = |(width, height): (u32, u32)| if turned { (height, width) } else { (width, height) };
    let (width, height) = swap(plan.resized);
    let (cut_width, cut_height) = swap(plan.cut);
    let cut = |image: &DynamicImage| {
        image.crop_imm((width - cut_width.min(width)) / 2, (height - cut_height.min(height)) / 2, cut_width, cut_height)
    };
    if (image.width(), image.height()) == (width, height) {
        return cut(image);
    }
    let resized = image.thumbnail_exact(width, height);
    if plan.resized == plan.cut { resized } else { cut(&resized) }
}

fn encode(image: &DynamicImage, format: Format) -> Result<Made, MediaError> {
    let mut bytes = Vec::new();
    match format {
        Format::Jpeg => {
            image
                .to_rgb8()
                .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
                .map_err(refused)?;
        }
        Format::Png => {
            // Sixteen bits a channel would only make the file larger.
            let eight_bit = if image.color().has_alpha() {
                DynamicImage::ImageRgba8(image.to_rgba8())
            } else {
                DynamicImage::ImageRgb8(image.to_rgb8())
            };
            let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
            eight_bit.write_with_encoder(encoder).map_err(refused)?;
        }
    }
    Ok(Made::New(format, bytes))
}

/// The format of a file that can be its own thumbnail: one that does not move.
fn still(path: &Path, format: ImageFormat) -> Result<Option<Format>, MediaError> {
    Ok(match format {
        ImageFormat::Jpeg => Some(Format::Jpeg),
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(BufReader::new(File::open(path)?), limits()).map_err(refused)?;
            (!decoder.is_apng().map_err(refused)?).then_some(Format::Png)
        }
        _ => None,
    })
}

fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = u32::try_from(PIXELS_MAX).ok();
    limits.max_image_height = u32::try_from(PIXELS_MAX).ok();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    limits
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn refused(error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::ImageTooLarge,
        // The bytes of an image that ends too early are an I/O error for the decoder.
        _ => MediaError::NotAnImage,
    }
}

#[cfg(test)]
mod tests;
