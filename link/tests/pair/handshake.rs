//! Handshakes between two ends: every row at once, byte by byte, and cut at every byte.

use link::handshake::{
    Acceptor, Dialer, Established, HELLO_BYTES_MAX, HandshakeError, Identity, NONCE_BYTES, Progress, Versions,
};
use link::{SECRET_BYTES_MIN, Secret};
use schema::Incarnation;

const MAGIC: &[u8] = b"\x89Rookery";
const PROOF_BYTES: usize = 32;

fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; SECRET_BYTES_MIN]).expect("long enough")
}

/// A dialer and an acceptor that agree, until a row changes something.
#[derive(Clone)]
struct Setup {
    dialer: Identity,
    acceptor: Identity,
    meant: Incarnation,
    link: u16,
    secrets: [Secret; 2],
}

impl Setup {
    fn new() -> Self {
        let node = |incarnation, shards| Identity {
            incarnation: Incarnation(incarnation),
            shards,
            versions: Versions { oldest: 2, newest: 4 },
        };
        let secrets = [secret(1), secret(1)];
        Self { dialer: node(0xD, 4), acceptor: node(0xA, 2), meant: Incarnation(0xA), link: 3, secrets }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut setup = Self::new();
        change(&mut setup);
        setup
    }

    fn dial(&self, out: &mut Vec<u8>) -> Dialer {
        Dialer::new(self.secrets[0].clone(), self.dialer, self.meant, self.link, [3; NONCE_BYTES], out)
    }

    fn accept(&self, nonce: u8) -> Acceptor {
        Acceptor::new(self.secrets[1].clone(), self.acceptor, [nonce; NONCE_BYTES])
    }
}

/// How an end stands.
enum Stand<End> {
    Open(End),
    Done(Established),
    Failed(HandshakeError),
}

impl<End> Stand<End> {
    fn of(result: Result<Progress<End>, HandshakeError>) -> Self {
        match result {
            Ok(Progress::More(end)) => Self::Open(end),
            Ok(Progress::Done(established)) => Self::Done(established),
            Err(fault) => Self::Failed(fault),
        }
    }

    /// What an end says whose peer closes the connection now, unless it has its result.
    fn say(self, closed: impl FnOnce(End) -> HandshakeError) -> String {
        match self {
            Self::Open(end) => closed(end).to_string(),
            Self::Failed(fault) => fault.to_string(),
            Self::Done(Established { peer, peer_shards, link, version, leftover }) => {
                let leftover = String::from_utf8(leftover).expect("a row's leftover is text");
                format!("link {link} to {:x} of {peer_shards} shards, version {version}, then {leftover:?}", peer.0)
            }
        }
    }
}

/// Runs both ends; `change` is given all that the dialer and the acceptor say, in pieces as they say it. Returns what
/// each end says of it, and what they have said to each other.
fn run(setup: &Setup, piece_bytes: usize, mut change: impl FnMut(usize, &mut Vec<u8>)) -> ([String; 2], [Vec<u8>; 2]) {
    let mut said = [Vec::new(), Vec::new()];
    let mut to_acceptor = Vec::new();
    let mut dialer = Stand::Open(setup.dial(&mut to_acceptor));
    let mut acceptor = Stand::Open(setup.accept(4));
    loop {
        change(0, &mut to_acceptor);
        said[0].extend_from_slice(&to_acceptor);
        let mut to_dialer = Vec::new();
        for piece in std::mem::take(&mut to_acceptor).chunks(piece_bytes) {
            acceptor = match acceptor {
                Stand::Open(end) => Stand::of(end.received(piece, &mut to_dialer)),
                Stand::Done(mut established) => {
                    established.leftover.extend_from_slice(piece);
                    Stand::Done(established)
                }
                failed @ Stand::Failed(_) => failed,
            };
        }
        change(1, &mut to_dialer);
        said[1].extend_from_slice(&to_dialer);
        if to_dialer.is_empty() {
            break;
        }
        for piece in to_dialer.chunks(piece_bytes) {
            dialer = match dialer {
                Stand::Open(end) => Stand::of(end.received(piece, &mut to_acceptor)),
                Stand::Done(mut established) => {
                    established.leftover.extend_from_slice(piece);
                    Stand::Done(established)
                }
                failed @ Stand::Failed(_) => failed,
            };
        }
    }
    ([dialer.say(Dialer::closed), acceptor.say(Acceptor::closed)], said)
}

/// What both ends say, whatever the pieces are.
fn check(setup: &Setup, dialer: &str, acceptor: &str) {
    for piece_bytes in (1..=100).chain([usize::MAX]) {
        let (said, _) = run(setup, piece_bytes, |_, _| {});
        assert_eq!(said, [dialer, acceptor], "by {piece_bytes}");
    }
}

#[test]
fn two_nodes_of_a_cluster_agree() {
    let dialer = "link 3 to a of 2 shards, version 4, then \"\"";
    check(&Setup::new(), dialer, "link 3 to d of 4 shards, version 4, then \"\"");
    let newer = Setup::with(|setup| setup.acceptor.versions = Versions { oldest: 3, newest: 9 });
    check(&newer, dialer, "link 3 to d of 4 shards, version 4, then \"\"");
    let older = Setup::with(|setup| setup.acceptor.versions = Versions { oldest: 1, newest: 2 });
    let dialer = "link 3 to a of 2 shards, version 2, then \"\"";
    check(&older, dialer, "link 3 to d of 4 shards, version 2, then \"\"");
}

#[test]
fn what_forbids_a_link_is_found_by_both() {
    let both = |setup: &Setup, fault: &str| check(setup, fault, fault);
    both(&Setup::with(|setup| setup.meant = Incarnation(0xB)), "meant for incarnation b, and reached a");
    both(&Setup::with(|setup| setup.dialer.incarnation = Incarnation(0xA)), "incarnation a has dialed itself");
    both(&Setup::with(|setup| setup.link = 4), "link 4 is none of the 4 between the two nodes");
    both(
        &Setup::with(|setup| setup.acceptor.versions = Versions { oldest: 5, newest: 6 }),
        "no version is common: the dialing node speaks 2 to 4, the accepting one 5 to 6",
    );
    both(
        &Setup::with(|setup| setup.acceptor.versions = Versions { oldest: 1, newest: 1 }),
        "no version is common: the dialing node speaks 2 to 4, the accepting one 1 to 1",
    );
}

#[test]
fn another_secret_is_found_by_the_acceptor_and_guessed_by_the_dialer() {
    let setup = Setup::with(|setup| setup.secrets[0] = secret(2));
    let [dialers, acceptors] = setup.secrets.each_ref().map(Secret::fingerprint);
    check(
        &setup,
        &format!("closed by the other node after this node's proof, under the secret with fingerprint {dialers}"),
        &format!("the other node has another cluster secret than this one, whose fingerprint is {acceptors}"),
    );
}

/// What an acceptor says to these bytes, at once and byte by byte.
fn check_stranger(bytes: &[u8], expected: &str) {
    for piece_bytes in [1, bytes.len()] {
        let mut acceptor = Stand::Open(Setup::new().accept(4));
        for piece in bytes.chunks(piece_bytes) {
            if let Stand::Open(end) = acceptor {
                let mut out = Vec::new();
                acceptor = Stand::of(end.received(piece, &mut out));
                assert!(out.is_empty(), "a stranger hears nothing");
            }
        }
        assert_eq!(acceptor.say(Acceptor::closed), expected, "by {piece_bytes}");
    }
}

#[test]
fn a_stranger_is_told_nothing() {
    check_stranger(b"GET / HTTP/1.1\r\n", "byte 0 is 0x47, which is not how a link between nodes begins");
    check_stranger(b"\x89Rook!", "byte 5 is 0x21, which is not how a link between nodes begins");
    let hello = |length: u16, fields: &[u8]| [MAGIC, &length.to_le_bytes(), fields].concat();
    let most = HELLO_BYTES_MAX;
    check_stranger(&hello(most + 1, &[]), &format!("a hello of {} bytes is announced, the limit is {most}", most + 1));
    check_stranger(&hello(55, &[1; 55]), "a hello is malformed: it is shorter than its fields");
    check_stranger(&hello(56, &[0; 56]), "a hello is malformed: its node has no shards");
    let mut reversed = [1; 56];
    reversed[18..22].copy_from_slice(&[2, 0, 1, 0]);
    check_stranger(&hello(56, &reversed), "a hello is malformed: its oldest version is newer than its newest");
    let closed = format!(
        "closed by the other node before this node's proof, under the secret with fingerprint {}",
        secret(1).fingerprint()
    );
    check_stranger(&hello(56, &[1; 55]), &closed);
}

#[test]
fn the_acceptor_says_no_more_than_its_hello_before_the_dialer_is_proven() {
    let setup = Setup::new();
    let ([dialer, _], said) = run(&setup, usize::MAX, |_, _| {});
    assert!(dialer.starts_with("link 3"), "{dialer}");
    let hello_bytes = MAGIC.len() + 2 + 56;
    assert_eq!(said.each_ref().map(Vec::len), [hello_bytes + PROOF_BYTES; 2]);
    let mut out = Vec::new();
    let mut acceptor = setup.accept(4);
    for byte in &said[0][..hello_bytes + PROOF_BYTES - 1] {
        let Ok(Progress::More(end)) = acceptor.received(&[*byte], &mut out) else { panic!("it waits for the proof") };
        acceptor = end;
    }
    assert_eq!(out.len(), hello_bytes);
}

#[test]
fn bytes_behind_the_handshake_are_handed_on() {
    let (said, _) = run(&Setup::new(), usize::MAX, |_, bytes| {
        if bytes.len() == PROOF_BYTES {
            bytes.extend_from_slice(b"first");
        }
    });
    assert!(said.iter().all(|said| said.ends_with("then \"first\"")), "{said:?}");
}

#[test]
fn no_bit_of_a_handshake_can_be_changed() {
    let (_, said) = run(&Setup::new(), usize::MAX, |_, _| {});
    for (from, said) in said.iter().enumerate() {
        for bit in 0..said.len() * 8 {
            let mut at = 0;
            let (results, _) = run(&Setup::new(), usize::MAX, |end, bytes| {
                if end == from {
                    if let Some(byte) = (bit / 8).checked_sub(at).and_then(|byte| bytes.get_mut(byte)) {
                        *byte ^= 1 << (bit % 8);
                    }
                    at += bytes.len();
                }
            });
            // Of the acceptor's proof it hears nothing any more.
            let acceptor_is_done = from == 1 && bit / 8 >= said.len() - PROOF_BYTES;
            let is_done = results.each_ref().map(|said| said.contains(", then "));
            assert_eq!(is_done, [false, acceptor_is_done], "bit {bit} from {from}: {results:?}");
        }
    }
}

#[test]
fn no_answer_can_be_reflected_or_used_again() {
    let setup = Setup::new();
    let (_, [dialers, _]) = run(&setup, usize::MAX, |_, _| {});
    // The same bytes to an acceptor that draws another nonce.
    let fault = setup.accept(5).received(&dialers, &mut Vec::new()).expect_err("an earlier connection's proof");
    assert_eq!(fault, HandshakeError::WrongSecret { fingerprint: secret(1).fingerprint() });
    // A stranger that answers a dialer with its own proof.
    let mut proof = Vec::new();
    let (said, _) = run(&Setup::new(), usize::MAX, |end, bytes| {
        if bytes.len() == PROOF_BYTES {
            if end == 0 { proof.clone_from(bytes) } else { bytes.clone_from(&proof) }
        }
    });
    assert!(said[0].starts_with("the other node has another cluster secret"), "{said:?}");
    // One that sends a dialer its own hello.
    let mut hello = Vec::new();
    let dialer = setup.dial(&mut hello);
    let fault = dialer.received(&hello, &mut Vec::new()).expect_err("its own hello");
    assert_eq!(fault, HandshakeError::Itself { incarnation: Incarnation(0xD) });
}
