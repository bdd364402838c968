//! Discovery: the nodes that a client may connect to, best first.
//!
//! Owns the order: who takes clients before who sends them away, the client's region before others, the home of the
//! client before other nodes, the least busy before the busy. Any node serves any client, so all of this is advice.

use std::cmp::Reverse;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use kv::Engine;
use schema::Incarnation;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{UrlQuery, bearer};
use crate::nodes::{Peer, Peers, ws_address};
use crate::problem::Answer;
use crate::shards::Shards;
use crate::state::{Api, entropy};

/// How long an answer may be kept where there is one node.
const TTL_ALONE_MS: u32 = 60_000;
/// The same where nodes come and go, and fill.
const TTL_MS: u32 = 15_000;
/// Nodes of an answer.
const SERVERS_MAX: usize = 5;
/// A node that has no more than a tenth of its places left comes behind those that have.
const FULL: f32 = 0.9;

/// A node to connect to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    /// The WebSocket's address.
    #[schema(example = "ws://127.0.0.1:8001/connection/websocket")]
    url: String,
    /// The address of its API.
    #[schema(example = "http://127.0.0.1:8000")]
    api_url: String,
    /// The node's name.
    node: String,
    /// Where it is.
    region: String,
    /// Open connections as a part of the most that it takes, from 0 to 1.
    load: f32,
    /// How long this answer may be kept.
    ttl_ms: u32,
}

/// The client's region.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Near {
    /// Nodes of this region come first; of the asked node's own unless given.
    region: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/servers/best", tag = "servers", params(Near),
    responses((status = 200, description = "Nodes to connect to, best first", body = Vec<Server>)),
)]
pub(crate) async fn best<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    headers: HeaderMap,
    near: UrlQuery<Near>,
) -> Answer<Vec<Server>> {
    let mine = |load, ttl_ms| Server {
        url: ws_address(&api.ws_origin.for_client(&headers)),
        api_url: api.api_origin.for_client(&headers).into_owned(),
        node: api.config.node.clone(),
        region: api.config.region.clone(),
        load,
        ttl_ms,
    };
    let Peers { me, view, nodes } = &*api.node.peers();
    if nodes.is_empty() {
        let serves = !api.config.ws_origin.is_empty();
        return Ok(Json(serves.then(|| mine(api.node.load(), TTL_ALONE_MS)).into_iter().collect()));
    }
    // Whom a token names decides nothing but an order, so it is not looked up whether it was revoked.
    let token = bearer(&headers).ok();
    let user = token.and_then(|token| api.key.verify(token, api.wall()).ok()).map(|claims| claims.user);
    let home = user.zip(view.as_ref()).map(|(user, view)| view.home_of_user(user).incarnation);
    let region = near.0.region.as_ref().unwrap_or(&api.config.region);
    let order = ranked(nodes, region, home, entropy()?);
    let servers = order.into_iter().take(SERVERS_MAX).map(|peer| {
        if peer.incarnation == *me {
            return mine(peer.load, TTL_MS);
        }
        Server {
            url: ws_address(&peer.ws_url),
            api_url: peer.api_url.clone(),
            node: peer.name.clone(),
            region: peer.region.clone(),
            load: peer.load,
            ttl_ms: TTL_MS,
        }
    });
    Ok(Json(servers.collect()))
}

/// The nodes in the order in which a client should try them. Those that differ by less than a tenth of their places are
/// in an order that depends on `dice`, so that not all clients of a second go to one.
fn ranked<'a>(nodes: &'a [Peer], region: &str, home: Option<Incarnation>, dice: u64) -> Vec<&'a Peer> {
    let tenths = |load: f32| (load.clamp(0.0, 1.0) * 10.0) as u8;
    let mut order: Vec<&Peer> = nodes.iter().collect();
    order.sort_by_cached_key(|peer| {
        let fits = (!peer.is_draining, peer.load < FULL, peer.region == region, Some(peer.incarnation) == home);
        (
            Reverse(fits),
            tenths(peer.load),
            BuildHasherDefault::<DefaultHasher>::new().hash_one((dice, peer.incarnation)),
        )
    });
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Nodes as `name@region load`, `~` before one that sends its clients away, `*` before the caller's home. All orders
    /// that a client may be told.
    fn check(nodes: &str, region: &str, expected: &[&str]) {
        let mut home = None;
        let peer = |(number, words): (u64, &str)| {
            let incarnation = Incarnation(number);
            let (place, load) = words.split_once(' ').expect("a node and its load");
            let (name, region) = place.split_once('@').expect("name@region");
            if name.starts_with('*') {
                home = Some(incarnation);
            }
            Peer {
                incarnation,
                name: name.trim_start_matches(['~', '*']).to_owned(),
                region: region.to_owned(),
                ws_url: String::new(),
                api_url: String::new(),
                load: load.parse().expect("a part"),
                is_draining: name.starts_with('~'),
            }
        };
        let peers: Vec<Peer> = (0..).zip(nodes.split(", ")).map(peer).collect();
        let names = |dice| {
            let order = ranked(&peers, region, home, dice);
            order.into_iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let found: BTreeSet<String> = (0..100).map(names).collect();
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{nodes} from {region}");
    }

    #[test]
    fn a_client_is_sent_to_its_region_its_home_and_the_least_busy_in_that_order() {
        check("a@x 0.5, b@x 0.2", "x", &["b a"]);
        check("a@x 0.21, b@x 0.28", "x", &["a b", "b a"]);
        check("a@y 0.1, b@x 0.5", "x", &["b a"]);
        check("a@x 0.1, *b@x 0.5", "x", &["b a"]);
        check("a@x 0.1, *b@y 0.1", "x", &["a b"]);
        check("a@x 0.1, *b@x 0.95, c@y 0.1", "x", &["a c b"]);
        check("~a@x 0.0, b@y 0.95", "x", &["b a"]);
        check("a@y 0.5, b@z 0.2", "x", &["b a"]);
    }
}
