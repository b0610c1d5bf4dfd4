#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

use image::{Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

fn file(image: &DynamicImage, format: ImageFormat) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    image.save_with_format(file.path(), format).unwrap();
    file
}

fn opaque(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) }).into()
}

fn new(made: Made) -> (Format, DynamicImage) {
    let Made::New(format, bytes) = made else { panic!("the file itself") };
    let kind = if format == Format::Jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
    (format, image::load_from_memory_with_format(&bytes, kind).unwrap())
}

#[test]
fn the_next_larger_size_is_made() {
    for (width, height, method, name) in [
        (30, 30, Method::Crop, "32x32-crop"),
        (96, 32, Method::Crop, "96x32-crop"),
        (801, 10, Method::Crop, "whole"),
        (32, 32, Method::Scale, "96x96-scale"),
        (320, 240, Method::Scale, "320x240-scale"),
        (300, 300, Method::Scale, "640x480-scale"),
        (u64::MAX, 1, Method::Scale, "whole"),
    ] {
        assert_eq!(Wanted::at_least(width, height, method).name(), name);
    }
}

#[test]
fn images_are_fitted_or_filled() {
    let plan = |width, height, method, image| {
        Wanted::at_least(width, height, method).plan(image).map(|plan| (plan.resized, plan.cut))
    };
    assert_eq!(plan(320, 240, Method::Scale, (1000, 1000)), Some(((240, 240), (240, 240))));
    assert_eq!(plan(320, 240, Method::Scale, (3000, 100)), Some(((320, 10), (320, 10))));
    assert_eq!(plan(96, 96, Method::Crop, (1000, 500)), Some(((192, 96), (96, 96))));
    assert_eq!(plan(96, 96, Method::Crop, (500, 1000)), Some(((96, 192), (96, 96))));
    assert_eq!(plan(96, 96, Method::Crop, (1000, 50)), Some(((1000, 50), (96, 50))));
    assert_eq!(plan(96, 96, Method::Crop, (96, 20)), None);
    assert_eq!(plan(9000, 9000, Method::Crop, (5000, 4000)), None);
}

proptest! {
    #[test]
    fn nothing_grows_and_nothing_vanishes(
        width in 1_u32..9000, height in 1_u32..9000, w in 1_u64..2000, h in 1_u64..2000, crop: bool,
    ) {
        let wanted = Wanted::at_least(w, h, if crop { Method::Crop } else { Method::Scale });
        if let Some(Plan { resized, cut }) = wanted.plan((width, height)) {
            prop_assert!(resized.0 <= width && resized.1 <= height);
            prop_assert!(cut.0 <= resized.0 && cut.1 <= resized.1);
            prop_assert!(cut.0 >= 1 && cut.1 >= 1);
            prop_assert!(cut.0 <= wanted.width && cut.1 <= wanted.height);
        }
    }
}

#[test]
fn each_format_is_shrunk() {
    for (format, expected) in [
        (ImageFormat::Png, Format::Png),
        (ImageFormat::Jpeg, Format::Jpeg),
        (ImageFormat::Gif, Format::Png),
        (ImageFormat::WebP, Format::Jpeg),
    ] {
        let source = if format == ImageFormat::Gif {
            DynamicImage::ImageRgba8(opaque(400, 200).to_rgba8())
        } else {
            opaque(400, 200)
        };
        let file = file(&source, format);
        let (made, image) = new(make(file.path(), Wanted::at_least(96, 96, Method::Crop)).unwrap());
        assert_eq!((made, image.width(), image.height()), (expected, 96, 96), "{format:?}");
        let left = image.to_rgb8().get_pixel(5, 50).0;
        assert!(left[0] > 200 && left[2] < 60, "{format:?}: {left:?}");
    }
}

#[test]
fn transparency_is_kept() {
    let image: DynamicImage = RgbaImage::from_pixel(300, 300, Rgba([9, 9, 9, 0])).into();
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let file = file(&image, format);
        let (made, thumbnail) = new(make(file.path(), Wanted::at_least(32, 32, Method::Crop)).unwrap());
        assert_eq!(made, Format::Png);
        assert_eq!(thumbnail.to_rgba8().get_pixel(3, 3).0[3], 0);
    }
}

#[test]
fn small_images_stay_unless_they_may_move() {
    let wanted = Wanted::at_least(96, 96, Method::Crop);
    let small = opaque(20, 20);
    assert!(matches!(make(file(&small, ImageFormat::Png).path(), wanted), Ok(Made::Same(Format::Png))));
    assert!(matches!(make(file(&small, ImageFormat::Jpeg).path(), wanted), Ok(Made::Same(Format::Jpeg))));
    let gif = DynamicImage::ImageRgba8(small.to_rgba8());
    assert!(matches!(make(file(&gif, ImageFormat::Gif).path(), wanted), Ok(Made::New(Format::Png, _))));
}

#[test]
fn a_photograph_is_turned_upright() {
    let plain = file(&opaque(400, 200), ImageFormat::Jpeg);
    let jpeg = std::fs::read(plain.path()).unwrap();
    // The shortest EXIF segment that says "rotate by 90 degrees", after the start marker.
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut turned = jpeg[..2].to_vec();
    turned.extend_from_slice(exif);
    turned.extend_from_slice(&jpeg[2..]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), turned).unwrap();
    let (_, image) = new(make(file.path(), Wanted::at_least(96, 96, Method::Scale)).unwrap());
    assert_eq!((image.width(), image.height()), (48, 96));
}

#[test]
fn other_content_and_bombs_are_refused() {
    let wanted = Wanted::at_least(96, 96, Method::Crop);
    let refusal = |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        make(file.path(), wanted).err()
    };
    for other in
        [&b""[..], b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM\0\0", b"\x89PNG\r\n\x1a\nxx"]
    {
        assert!(matches!(refusal(other), Some(MediaError::NotAnImage)), "{other:?}");
    }
    // A GIF header that claims 65535 x 65535 pixels.
    let gif = b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;";
    assert!(matches!(refusal(gif), Some(MediaError::ImageTooLarge)), "{:?}", refusal(gif));
    let whole = std::fs::read(file(&opaque(400, 400), ImageFormat::Png).path()).unwrap();
    assert!(matches!(refusal(&whole[..whole.len() / 2]), Some(MediaError::NotAnImage)));
}
