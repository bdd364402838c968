//! The ways of a medium: its providers in their order of failover, and which of them may be gone now.
//!
//! Owns a breaker for each service. A provider is one service, unless its users name where it sends: then each host is
//! one, so that whoever names a host that refuses, or never answers, is in nobody else's way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schema::Instant;

use crate::breaker::{Breaker, Verdict};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};
use crate::providers::Provider;

/// Attempts that a host which users name may have under way at first. Each that is taken makes room for one more, each
/// without an answer takes half of the room: the hosts of browsers soon have all there is, and one that never answers, or
/// many of them, hold few places of the others'.
const OF_SERVICE_FIRST: usize = 16;
/// The least that is left of it.
const OF_SERVICE_MIN: usize = 2;
/// The most: as many as a medium has.
const OF_SERVICE_MAX: usize = 256;
/// Hosts of which something is remembered: beyond it those with nothing under way are forgotten.
const SERVICES_MAX: usize = 10_000;
/// How long a message waits where its service has too many under way.
const FULL: Duration = Duration::from_secs(1);

/// One service of a provider.
#[derive(Debug)]
struct Service {
    breaker: Breaker,
    under_way: usize,
    /// Attempts that it may have under way, where users name it.
    most: usize,
}

impl Default for Service {
    fn default() -> Self {
        Self { breaker: Breaker::default(), under_way: 0, most: OF_SERVICE_FIRST }
    }
}

struct Way {
    provider: Arc<dyn Provider>,
    /// By host; by nothing, of a provider that is one service.
    services: HashMap<Option<String>, Service>,
}

/// The way of one attempt.
pub(super) struct Taken {
    at: usize,
    service: Option<String>,
    pub(super) provider: Arc<dyn Provider>,
}

pub(super) struct Ways(Vec<Way>);

impl Ways {
    pub(super) fn of(providers: &[Arc<dyn Provider>]) -> Self {
        let way = |provider: &Arc<dyn Provider>| Way { provider: Arc::clone(provider), services: HashMap::new() };
        Self(providers.iter().map(way).collect())
    }

    /// How many attempts may be begun, `most` at most, or how long none may.
    pub(super) fn room(&self, now: Instant, most: usize) -> Result<usize, Duration> {
        let mut wait = FULL;
        for way in &self.0 {
            let Some(service) = way.services.get(&None) else {
                // Hosts are known only with their messages: what those that are known have room for, and one more. So is
                // a provider that is one service before its first.
                let free = way.services.values().map(|service| service.most.saturating_sub(service.under_way));
                return Ok(most.min(OF_SERVICE_FIRST + free.sum::<usize>()));
            };
            match service.breaker.clone().may_send(now) {
                Verdict::Send => return Ok(most),
                Verdict::Probe => return Ok(1),
                Verdict::Wait { ms } => wait = wait.min(Duration::from_millis(ms)),
            }
        }
        Err(wait)
    }

    /// The first way that a message may go, or how long it may go none. Whoever takes one notes its outcome.
    pub(super) fn take(&mut self, now: Instant, message: &Message) -> Result<Taken, Duration> {
        let mut wait: Option<Duration> = None;
        for (at, way) in self.0.iter_mut().enumerate() {
            let service = way.provider.service(message);
            if way.services.len() >= SERVICES_MAX {
                // What is remembered of trouble is given up for those with none; it is found out again.
                way.services.retain(|_, service| service.under_way > 0 || service.most > OF_SERVICE_FIRST);
                if way.services.len() >= SERVICES_MAX {
                    way.services.retain(|_, service| service.under_way > 0);
                }
            }
            let found = way.services.entry(service.clone()).or_default();
            let verdict = if service.is_some() && found.under_way >= found.most {
                Err(FULL)
            } else {
                match found.breaker.may_send(now) {
                    Verdict::Send | Verdict::Probe => Ok(()),
                    Verdict::Wait { ms } => Err(Duration::from_millis(ms)),
                }
            };
            match verdict {
                Ok(()) => {
                    found.under_way += 1;
                    return Ok(Taken { at, service, provider: Arc::clone(&way.provider) });
                }
                Err(other) => wait = Some(wait.map_or(other, |wait| wait.min(other))),
            }
        }
        Err(wait.unwrap_or(FULL))
    }

    /// What came of an attempt.
    pub(super) fn note(&mut self, now: Instant, taken: &Taken, outcome: &Outcome) {
        let services = &mut self.0[taken.at].services;
        let Some(service) = services.get_mut(&taken.service) else { return };
        service.under_way = service.under_way.saturating_sub(1);
        service.breaker.note(now, outcome);
        match outcome {
            Outcome::Sent { .. } => service.most = (service.most + 1).min(OF_SERVICE_MAX),
            Outcome::Failed { fault: Fault::Network, .. } => service.most = (service.most / 2).max(OF_SERVICE_MIN),
            Outcome::Failed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schema::{Medium, NoticeId, UnixMs};

    use super::*;
    use crate::message::Target;
    use crate::providers::Attempt;

    /// A provider, of hosts that users name or of one service.
    struct Named(&'static str, bool);

    impl Provider for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn medium(&self) -> Medium {
            Medium::WebPush
        }

        fn service(&self, message: &Message) -> Option<String> {
            self.1.then(|| message.target.address.clone())
        }

        fn send<'a>(&'a self, _: &'a Message) -> Attempt<'a> {
            Box::pin(async { Outcome::Sent { provider_id: None } })
        }
    }

    fn message(host: &str) -> Message {
        let target = Target { address: host.into(), app: String::new(), is_development: false, locale: String::new() };
        Message {
            notice: NoticeId::default(),
            id: uuid::Uuid::nil(),
            target,
            title: String::new(),
            body: String::new(),
            html: None,
            collapse: String::new(),
            badge: None,
            data: BTreeMap::new(),
            media: None,
            is_urgent: false,
            expires_ms: UnixMs(0),
            unsubscribe: None,
            callback: None,
        }
    }

    /// Carries out words: `host:outcome*times` takes a way for a host and notes what came of it, `host+times` takes without
    /// an end, `host?` says by whom it would go, `+s` lets seconds pass, `?` says how many may be begun.
    fn check(providers: &[(&'static str, bool)], story: &str) {
        let providers: Vec<Arc<dyn Provider>> =
            providers.iter().map(|&(name, hosts)| Arc::new(Named(name, hosts)) as Arc<dyn Provider>).collect();
        let (mut ways, mut now) = (Ways::of(&providers), Instant(1));
        for word in story.split_whitespace() {
            if let Some(seconds) = word.strip_prefix('+') {
                now = now.plus_ms(1_000 * seconds.parse::<u64>().expect("seconds"));
            } else if let Some((host, said)) = word.split_once("?=") {
                let found = match host {
                    "" => ways.room(now, 99).map(|room| room.to_string()),
                    host => ways.take(now, &message(host)).map(|taken| {
                        ways.note(now, &taken, &Outcome::failed(Fault::Gone, ""));
                        taken.provider.name().to_owned()
                    }),
                };
                let found = found.unwrap_or_else(|wait| format!("{}s", wait.as_millis().div_ceil(1_000)));
                assert_eq!(found, said, "{word} of {story}");
            } else if let Some((host, what)) = word.split_once(':') {
                let (what, times) = what.split_once('*').unwrap_or((what, "1"));
                let fault = Fault::ALL.iter().copied().find(|fault| fault.word() == what);
                let outcome = fault.map_or(Outcome::Sent { provider_id: None }, |fault| Outcome::failed(fault, ""));
                for _ in 0..times.parse().expect("a number") {
                    let Ok(taken) = ways.take(now, &message(host)) else { panic!("{word} of {story}") };
                    ways.note(now, &taken, &outcome);
                }
            } else {
                let (host, times) = word.split_once('^').expect("a word of the list");
                for _ in 0..times.parse().expect("a number") {
                    drop(ways.take(now, &message(host)));
                }
            }
        }
    }

    const ONE: &[(&str, bool)] = &[("one", false)];
    const HOSTS: &[(&str, bool)] = &[("hosts", true)];

    #[test]
    fn a_provider_that_is_one_service_is_left_alone_as_one() {
        check(ONE, "?=16 a?=one ?=99 a:credential ?=1s a?=60s b?=60s +60 ?=1 b?=one ?=99");
        check(ONE, "a:network*20 b?=5s");
    }

    #[test]
    fn of_hosts_that_users_name_one_is_in_no_others_way() {
        check(HOSTS, "a:credential a?=60s b?=hosts ?=48");
        check(HOSTS, "a:network*20 a?=5s b?=hosts");
        check(HOSTS, "a:quota b?=hosts");
        check(HOSTS, "a:network*19 a:ok a:network*19 a?=hosts");
    }

    #[test]
    fn a_host_has_more_room_with_each_message_that_it_takes() {
        check(HOSTS, "a^16 a?=1s b?=hosts");
        check(HOSTS, "a:ok*4 a^20 a?=1s");
        check(HOSTS, "a:ok*400 a^256 a?=1s");
        check(HOSTS, "a:network a^8 a?=1s");
        check(HOSTS, "a:network*9 a^2 a?=1s");
        check(HOSTS, "a:gone*9 a^16 a?=1s");
        // As much is begun as there may be room for.
        check(HOSTS, "?=16 a^9 ?=23");
    }

    #[test]
    fn the_next_provider_takes_over_while_one_is_left_alone() {
        let two = &[("one", false), ("two", false)];
        check(two, "a?=one a:credential a?=two a:credential ?=1s a?=60s +60 a?=one");
    }
}
