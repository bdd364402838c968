//! The frame decoder: a peer's bytes to events, in place wherever a frame arrived whole.
//!
//! Owns the order of frames within messages and the limits on both. Upholds: any split of the same bytes gives
//! the same events and the same fault (property test), and an idle decoder holds no memory (I11).

use std::borrow::Cow;

use crate::code::CloseCode;
use crate::fault::Fault;
use crate::header::{Header, Kind};
use crate::mask::Mask;
use crate::partial::{Body, Message, Partial, Text};

/// Our end of the connection: a server takes masked frames only, a client unmasked ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We accepted the connection.
    Server,
    /// We made the connection.
    Client,
}

/// The limits on what the peer sends. Not kept in the decoder, so that a million idle ones do not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Our end.
    pub role: Role,
    /// Bytes of payload in one message, over all its fragments. Fragments themselves are not counted: each costs its
    /// sender a header and leaves nothing here but its payload.
    pub message_bytes_max: u32,
}

/// One event from the peer. Borrows from the input where a frame came whole, owns what had to be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message, valid UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// To be answered by a pong with this payload.
    Ping(Cow<'a, [u8]>),
    /// The answer to a ping, or unasked for.
    Pong(Cow<'a, [u8]>),
    /// The peer sends nothing more; whatever follows is to be ignored. Answered by a close frame of the same
    /// code, unless we sent ours before.
    Close {
        /// Absent if the frame was empty.
        code: Option<CloseCode>,
        /// At most 123 bytes.
        reason: Cow<'a, str>,
    },
}

/// The state of one direction of one connection: one word, null while nothing is outstanding.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// A decoder at the start of a frame.
    pub const fn new() -> Self {
        Decoder { partial: None }
    }

    /// Whether no frame and no fragmented message is outstanding; such a decoder equals a new one.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Bytes of memory held for what is outstanding. 0 while idle, at most the bytes that arrived, doubled,
    /// and some 250.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.held_bytes())
    }

    /// Takes the next event off the front of `input`; `None` once all of it is consumed.
    ///
    /// Unmasks in place. To be called until it returns `None`, or the remaining input presented again later.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit of `rules`: close with [`Fault::close_code`] and feed nothing
    /// more. `input` is then empty.
    #[inline]
    pub fn next<'a>(&mut self, rules: &Rules, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        let result = if self.partial.is_none() {
            match short(rules, input) {
                Some(result) => result.map(Some),
                None => self.general(rules, input),
            }
        } else {
            self.general(rules, input)
        };
        if result.is_err() {
            self.partial = None;
            *input = &mut [];
        }
        result
    }

    /// Frames of every kind, cut anywhere.
    fn general<'a>(&mut self, rules: &Rules, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        loop {
            let header = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(header) => header,
                None => {
                    let Some(header) = self.header(rules.role, input)? else { return Ok(None) };
                    self.admit(rules, &header)?;
                    header
                }
            };
            let event = match header.kind {
                Kind::Close | Kind::Ping | Kind::Pong => self.control(header, input)?,
                Kind::Continuation | Kind::Text | Kind::Binary => self.data(header, input)?,
            };
            if self.partial.as_ref().is_some_and(|partial| partial.is_spent()) {
                self.partial = None;
            }
            match event {
                Step::Event(event) => return Ok(Some(event)),
                Step::FrameEnded => {}
                Step::InputEnded => return Ok(None),
            }
        }
    }

    /// The next frame's header, from the input alone or with what was kept of it.
    fn header(&mut self, role: Role, input: &mut &mut [u8]) -> Result<Option<Header>, Fault> {
        let kept = self.partial.as_mut().map(|partial| &mut partial.header).filter(|kept| !kept.is_empty());
        let Some(kept) = kept else {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((header, header_bytes)) = Header::parse(role, input)? {
                take(input, header_bytes);
                return Ok(Some(header));
            }
            let rest = take(input, input.len());
            self.partial.get_or_insert_default().header.extend(rest);
            return Ok(None);
        };
        while !input.is_empty() {
            kept.extend(take(input, 1));
            if let Some((header, _)) = Header::parse(role, kept.as_slice())? {
                kept.clear();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Holds a frame to the message it belongs to and to the limits, before any of its payload.
    fn admit(&mut self, rules: &Rules, header: &Header) -> Result<(), Fault> {
        let message = self.partial.as_mut().and_then(|partial| partial.message.as_mut());
        let announced_bytes = match (header.kind, message) {
            (Kind::Close | Kind::Ping | Kind::Pong, _) => return Ok(()),
            (Kind::Text | Kind::Binary, Some(_)) => return Err(Fault::ContinuationExpected),
            (Kind::Continuation, None) => return Err(Fault::ContinuationUnexpected),
            (Kind::Text | Kind::Binary, None) => header.payload_bytes,
            (Kind::Continuation, Some(message)) => {
                message.announced_bytes = message.announced_bytes.saturating_add(header.payload_bytes);
                message.announced_bytes
            }
        };
        if announced_bytes > u64::from(rules.message_bytes_max) {
            return Err(Fault::MessageTooBig { len_bytes: announced_bytes, limit_bytes: rules.message_bytes_max });
        }
        Ok(())
    }

    fn control<'a>(&mut self, mut header: Header, input: &mut &'a mut [u8]) -> Result<Step<'a>, Fault> {
        let held = self.partial.as_ref().is_some_and(|partial| !partial.control.is_empty());
        if !held && let Some(payload) = take_whole(&mut header, input) {
            return control_event(header.kind, Cow::Borrowed(payload)).map(Step::Event);
        }
        let partial = self.partial.get_or_insert_default();
        partial.control.extend(take_some(&mut header, input));
        if header.payload_bytes > 0 {
            partial.frame = Some(header);
            return Ok(Step::InputEnded);
        }
        let payload = partial.control.as_slice().to_vec();
        partial.control.clear();
        control_event(header.kind, Cow::Owned(payload)).map(Step::Event)
    }

    fn data<'a>(&mut self, mut header: Header, input: &mut &'a mut [u8]) -> Result<Step<'a>, Fault> {
        let in_message = self.partial.as_ref().is_some_and(|partial| partial.message.is_some());
        if !in_message
            && header.is_final
            && let Some(payload) = take_whole(&mut header, input)
        {
            return data_event(header.kind, payload).map(Step::Event);
        }
        let partial = self.partial.get_or_insert_default();
        let message = partial.message.get_or_insert_with(|| Message {
            body: match header.kind {
                Kind::Text => Body::Text(Text::default()),
                Kind::Binary => Body::Binary(Vec::new()),
                Kind::Continuation | Kind::Close | Kind::Ping | Kind::Pong => {
                    unreachable!("admitted as the first frame of a message: {header:?}")
                }
            },
            announced_bytes: header.payload_bytes,
        });
        message.body.extend(take_some(&mut header, input))?;
        if header.payload_bytes > 0 {
            partial.frame = Some(header);
            return Ok(Step::InputEnded);
        }
        if !header.is_final {
            return Ok(Step::FrameEnded);
        }
        let message = partial.message.take().expect("in a message, as set above");
        Ok(Step::Event(match message.body {
            Body::Text(text) => Event::Text(Cow::Owned(text.finish()?)),
            Body::Binary(bytes) => Event::Binary(Cow::Owned(bytes)),
        }))
    }
}

/// The outcome of one frame's turn.
enum Step<'a> {
    Event(Event<'a>),
    FrameEnded,
    InputEnded,
}

/// A short, whole, unfragmented data frame at the start of the input: nearly all traffic of a chat.
///
/// `None` leaves the input untouched for the general path, which also finds what is wrong with it.
#[inline]
fn short<'a>(rules: &Rules, input: &mut &'a mut [u8]) -> Option<Result<Event<'a>, Fault>> {
    let &mut [first, second, ..] = &mut **input else { return None };
    let (masked_bit, header_bytes) = match rules.role {
        Role::Server => (0x80, 6),
        Role::Client => (0x00, 2),
    };
    let payload_bytes = usize::from(second & 0x7F);
    if !matches!(first, 0x81 | 0x82)
        || second & 0x80 != masked_bit
        || payload_bytes > 125
        || payload_bytes > rules.message_bytes_max as usize
        || input.len() < header_bytes + payload_bytes
    {
        return None;
    }
    let frame = take(input, header_bytes + payload_bytes);
    let (header, payload) = frame.split_at_mut(header_bytes);
    if let &mut [_, _, a, b, c, d] = header {
        Mask::new([a, b, c, d]).apply(payload);
    }
    Some(data_event(if first == 0x81 { Kind::Text } else { Kind::Binary }, payload))
}

fn data_event(kind: Kind, payload: &[u8]) -> Result<Event<'_>, Fault> {
    match kind {
        Kind::Text => match str::from_utf8(payload) {
            Ok(text) => Ok(Event::Text(Cow::Borrowed(text))),
            Err(_) => Err(Fault::NotUtf8),
        },
        Kind::Binary => Ok(Event::Binary(Cow::Borrowed(payload))),
        Kind::Continuation | Kind::Close | Kind::Ping | Kind::Pong => unreachable!("{kind:?} begins no message"),
    }
}

fn control_event(kind: Kind, payload: Cow<'_, [u8]>) -> Result<Event<'_>, Fault> {
    match kind {
        Kind::Ping => Ok(Event::Ping(payload)),
        Kind::Pong => Ok(Event::Pong(payload)),
        Kind::Close => close_event(payload),
        Kind::Continuation | Kind::Text | Kind::Binary => unreachable!("{kind:?} is no control frame"),
    }
}

fn close_event(payload: Cow<'_, [u8]>) -> Result<Event<'_>, Fault> {
    let number = match *payload {
        [] => return Ok(Event::Close { code: None, reason: Cow::Borrowed("") }),
        [_] => return Err(Fault::CloseHalfCode),
        [high, low, ..] => u16::from_be_bytes([high, low]),
    };
    let code = CloseCode::new(number).ok_or(Fault::CloseCodeInvalid(number))?;
    let reason = match payload {
        Cow::Borrowed(bytes) => str::from_utf8(&bytes[2..]).map(Cow::Borrowed),
        Cow::Owned(bytes) => str::from_utf8(&bytes[2..]).map(|reason| Cow::Owned(reason.to_owned())),
    };
    Ok(Event::Close { code: Some(code), reason: reason.map_err(|_| Fault::NotUtf8)? })
}

/// The frame's whole payload, unmasked, if all of it is in the input.
fn take_whole<'a>(header: &mut Header, input: &mut &'a mut [u8]) -> Option<&'a mut [u8]> {
    if header.payload_bytes > input.len() as u64 {
        return None;
    }
    Some(take_some(header, input))
}

/// As much of the frame's payload as the input has, unmasked. `header` keeps count of the rest.
fn take_some<'a>(header: &mut Header, input: &mut &'a mut [u8]) -> &'a mut [u8] {
    let here = usize::try_from(header.payload_bytes).map_or(input.len(), |wanted| wanted.min(input.len()));
    let payload = take(input, here);
    header.payload_bytes -= here as u64;
    if let Some(mask) = &mut header.mask {
        mask.apply(payload);
    }
    payload
}

fn take<'a>(input: &mut &'a mut [u8], bytes: usize) -> &'a mut [u8] {
    input.split_off_mut(..bytes).expect("callers take no more than there is")
}
