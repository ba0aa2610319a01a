//! `/screen?id=…`: a picture of a machine's screen.

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::folder::{Caller, decode, unauthorized};
use super::{Reply, Shared, plain, response};
use crate::model::ScreenAnswer;

/// The picture's size in pixels: that of a text console.
const WIDTH: u32 = 720;
const HEIGHT: u32 = 400;

/// Serves a picture under the rules of `/folder`: a session or a password.
pub(super) fn serve(shared: &Shared, query: Option<&str>, headers: &HeaderMap) -> Reply {
    let caller = Caller::new(shared, headers);
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let id = pairs.find(|(name, _)| *name == "id").map(|(_, value)| decode(value));
    let id = id.unwrap_or_default();
    let answer = shared.with_model(|model| model.screen(&id, caller.cookie(), caller.now));
    let answered = match answer {
        ScreenAnswer::Shows(number) => match picture(number) {
            Ok(picture) => response(StatusCode::OK, "image/png", picture),
            Err(error) => {
                tracing::warn!(%error, "cannot draw a picture");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "no picture\n")
            }
        },
        ScreenAnswer::NotFound => plain(StatusCode::NOT_FOUND, "not found\n"),
        ScreenAnswer::Dark => plain(StatusCode::INTERNAL_SERVER_ERROR, "it is not on\n"),
        ScreenAnswer::Unauthorized => unauthorized(),
    };
    caller.reply(shared, answered)
}

/// A black screen with the machine's number on it, as white squares: one row of eight for each byte.
fn picture(number: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut pixels = vec![0_u8; (WIDTH * HEIGHT) as usize];
    for bit in (0..32).filter(|bit| number & (1 << (31 - bit)) != 0) {
        let (left, top) = (40 + (bit % 8) * 40, 40 + (bit / 8) * 40);
        for y in top..top + 30 {
            let start = (y * WIDTH + left) as usize;
            pixels[start..start + 30].fill(0xff);
        }
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_can_be_read_and_differ() {
        let first = picture(1).unwrap();
        assert_ne!(first, picture(2).unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&first)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (WIDTH, HEIGHT));
        assert_eq!(pixels.iter().filter(|pixel| **pixel != 0).count(), 30 * 30);
    }
}
