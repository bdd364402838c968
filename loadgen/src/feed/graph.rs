//! Seeded graph of a feed's load: who is whose friend, who follows whom, and which authors have many readers.
//!
//! Owns the draw alone. The same shape and seed give the same graph; nobody is drawn twice as somebody's friend.

use std::collections::BTreeSet;

use fastrand::Rng;
use schema::limits::FRIENDS_MAX;

/// An account, by its place among all.
pub(super) type Account = u32;

/// One in so many ordinary accounts is public, so that it may be followed.
const PUBLIC_ONE_IN: u32 = 20;

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Accounts in all.
    pub(super) users: u32,
    /// Friends of an ordinary account, on average.
    pub(super) friends: u32,
    /// Authors with many friends: the first accounts.
    pub(super) stars: u32,
    /// Friends of each of those.
    pub(super) readers: u32,
    /// Readers about which one more author crosses between fan-out on write and on read, if one does.
    pub(super) border: Option<u32>,
    pub(super) seed: u64,
}

/// The graph as it is before the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Graph {
    pub(super) users: u32,
    /// Each pair once, the lower account first, ascending.
    pub(super) friends: Vec<(Account, Account)>,
    /// Follower and author, ascending.
    pub(super) follows: Vec<(Account, Account)>,
    /// Who may be followed, ascending.
    pub(super) public: Vec<Account>,
    pub(super) stars: Vec<Account>,
    pub(super) cross: Option<Cross>,
}

/// The author that crosses the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cross {
    pub(super) author: Account,
    /// Who follows all the time: less than the border by a quarter.
    pub(super) base: Vec<Account>,
    /// Who comes and goes: with them the author is beyond the border, without them below it by more than any hysteresis of
    /// a tenth.
    pub(super) movers: Vec<Account>,
}

/// The shape cannot be drawn.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShapeError {
    #[error("{stars} authors with {readers} friends each need more than {users} accounts")]
    Users { users: u32, stars: u32, readers: u32 },
    #[error("{friends} friends are more than a user may have, {FRIENDS_MAX}")]
    Friends { friends: u32 },
    #[error("an author crosses {border} readers by {} followers, of {ordinary} accounts", followers(*border))]
    Followers { border: u32, ordinary: u32 },
}

/// Followers of the crossing author in all.
fn followers(border: u32) -> u32 {
    base(border) + movers(border)
}

fn base(border: u32) -> u32 {
    border - border / 4
}

fn movers(border: u32) -> u32 {
    border / 2
}

impl Graph {
    pub(super) fn draw(shape: Shape) -> Result<Self, ShapeError> {
        let Shape { users, friends, stars, readers, border, seed } = shape;
        let first = stars + u32::from(border.is_some());
        let ordinary = users.saturating_sub(first);
        if readers > ordinary || ordinary < 2 {
            return Err(ShapeError::Users { users, stars, readers });
        }
        // A star's readers are its friends beside those that are drawn for it; ordinary accounts have all stars as well.
        let most = readers.max(2 * friends + stars);
        if most > FRIENDS_MAX {
            return Err(ShapeError::Friends { friends: most });
        }
        let mut rng = Rng::with_seed(seed);
        let mut pairs = BTreeSet::new();
        for star in 0..stars {
            pairs.extend(rng.choose_multiple(first..users, readers as usize).into_iter().map(|reader| (star, reader)));
        }
        let drawn = pairs.len() as u64 + u64::from(ordinary) * u64::from(friends.min(ordinary / 2)) / 2;
        // No account has more than twice the average, so that none passes the limit.
        let mut count = vec![0_u32; users as usize];
        while (pairs.len() as u64) < drawn {
            let (one, other) = (rng.u32(first..users), rng.u32(first..users));
            let has_room = [one, other].iter().all(|&account| count[account as usize] < 2 * friends);
            if one != other && has_room && pairs.insert((one.min(other), one.max(other))) {
                [one, other].iter().for_each(|&account| count[account as usize] += 1);
            }
        }
        let mut public: Vec<Account> = (first..users).filter(|_| rng.u32(0..PUBLIC_ONE_IN) == 0).collect();
        let mut follows = BTreeSet::new();
        if !public.is_empty() {
            for _ in 0..ordinary / 2 {
                let (follower, author) = (rng.u32(first..users), public[rng.usize(0..public.len())]);
                // Who is a friend need not follow.
                if follower != author && !pairs.contains(&(follower.min(author), follower.max(author))) {
                    follows.insert((follower, author));
                }
            }
        }
        let cross = border.map(|border| {
            if followers(border) > ordinary {
                return Err(ShapeError::Followers { border, ordinary });
            }
            let mut base = rng.choose_multiple(first..users, followers(border) as usize);
            rng.shuffle(&mut base);
            let movers = base.split_off(self::base(border) as usize);
            Ok(Cross { author: stars, base, movers })
        });
        let cross = cross.transpose()?;
        if let Some(Cross { author, base, .. }) = &cross {
            public.insert(0, *author);
            follows.extend(base.iter().map(|&follower| (follower, *author)));
        }
        let (friends, follows) = (pairs.into_iter().collect(), follows.into_iter().collect());
        Ok(Self { users, friends, follows, public, stars: (0..stars).collect(), cross })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SHAPE: Shape = Shape { users: 500, friends: 10, stars: 3, readers: 200, border: None, seed: 7 };

    #[test]
    fn a_seed_gives_one_graph_in_which_nobody_is_a_friend_twice_or_of_itself() {
        let graph = Graph::draw(SHAPE).unwrap();
        assert_eq!(Graph::draw(SHAPE), Ok(graph.clone()));
        assert_ne!(Graph::draw(Shape { seed: 8, ..SHAPE }), Ok(graph.clone()));
        let mut friends: BTreeMap<Account, u32> = BTreeMap::new();
        for &(one, other) in &graph.friends {
            assert!(one < other && other < 500, "{one} {other}");
            [one, other].iter().for_each(|&account| *friends.entry(account).or_default() += 1);
        }
        assert!(graph.friends.is_sorted() && graph.friends.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!((0..3).map(|star| friends[&star]).collect::<Vec<_>>(), [200, 200, 200]);
        let of_ordinary = graph.friends.iter().filter(|pair| pair.0 >= 3).count();
        assert_eq!(of_ordinary, 497 * 10 / 2);
        assert!(graph.follows.iter().all(|(follower, author)| follower != author && graph.public.contains(author)));
    }

    #[test]
    fn the_crossing_author_is_below_the_border_without_movers_and_beyond_it_with_them() {
        let graph = Graph::draw(Shape { border: Some(100), ..SHAPE }).unwrap();
        let Cross { author, base, movers } = graph.cross.clone().unwrap();
        assert_eq!((author, base.len(), movers.len()), (3, 75, 50));
        let all: BTreeSet<_> = base.iter().chain(&movers).collect();
        assert!(all.len() == 125 && all.iter().all(|&&follower| follower > 3));
        assert_eq!(graph.follows.iter().filter(|follow| follow.1 == 3).count(), 75);
        assert!(graph.public.contains(&3) && graph.friends.iter().all(|&(one, other)| one != 3 && other != 3));
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let check = |shape: Shape, expected: &str| {
            assert_eq!(Graph::draw(shape).map_err(|error| error.to_string()), Err(expected.to_owned()));
        };
        check(Shape { readers: 498, ..SHAPE }, "3 authors with 498 friends each need more than 500 accounts");
        check(Shape { friends: 3_000, ..SHAPE }, "6003 friends are more than a user may have, 5000");
        check(Shape { border: Some(500), ..SHAPE }, "an author crosses 500 readers by 625 followers, of 496 accounts");
    }
}
