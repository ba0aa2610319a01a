//! The protocol between a concentrator and those who want its consoles.
//!
//! A client sends lines: `TOKEN secret` if one is asked for, then `LIST` or `ATTACH PORT MODE [force] [raw]`; with `force`
//! others who may write to the port are let go. PORT is a port's key,
//! or a machine's name in percent escapes with `#label` behind it if it has several. The answer is one line, `OK …` or
//! `ERROR why`. After `OK` to an ATTACH both ends send frames: one byte of kind, two bytes of length (big-endian), that
//! many bytes; with `raw` both ends send bare bytes, so that `nc` and `socat` will do.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line of either end.
pub(crate) const MAX_LINE: usize = 4 << 10;

/// Data of the port, or for it.
pub(crate) const DATA: u8 = 0;
/// The port's state changed: a word.
pub(crate) const STATUS: u8 = 1;
/// The end, and why.
pub(crate) const END: u8 = 2;

/// Reads a line, without its end. `None`: the peer closed before one began.
///
/// # Errors
///
/// The connection's, and lines that are too long or not UTF-8.
pub(crate) async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    // Byte by byte, so that nothing behind the line is taken: lines are few.
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        match byte[0] {
            b'\n' => break,
            _ if line.len() == MAX_LINE => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
            }
            other => line.push(other),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the line is not UTF-8"))
}

/// Reads a frame. `None`: the peer closed between two.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 3];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..]).await?;
    let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut payload).await?;
    Ok(Some((head[0], payload)))
}

/// Appends data as frames.
pub(crate) fn write_frames(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    for piece in payload.chunks(usize::from(u16::MAX)) {
        out.push(kind);
        out.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_and_frames() {
        let mut out = b"LIST\r\n".to_vec();
        write_frames(&mut out, DATA, &[7; 70_000]);
        write_frames(&mut out, STATUS, b"up");
        let mut input = &out[..];
        assert_eq!(read_line(&mut input).await.unwrap().as_deref(), Some("LIST"));
        assert_eq!(read_frame(&mut input).await.unwrap(), Some((DATA, vec![7; 65_535])));
        assert_eq!(read_frame(&mut input).await.unwrap(), Some((DATA, vec![7; 4465])));
        assert_eq!(read_frame(&mut input).await.unwrap(), Some((STATUS, b"up".to_vec())));
        assert_eq!(read_frame(&mut input).await.unwrap(), None);
        assert_eq!(read_line(&mut input).await.unwrap(), None);
        for wrong in [&[b'x'; MAX_LINE + 1][..], b"\xff\n", b"half"] {
            assert!(read_line(&mut &wrong[..]).await.is_err());
        }
        assert!(read_frame(&mut &[0, 0, 2, 1][..]).await.is_err());
    }
}
