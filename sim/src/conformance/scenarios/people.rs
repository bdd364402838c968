//! Scenarios of members' notices of each other: presence, writing, reading; blocks, and devices.

use super::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "who writes is told to the others, at most once in three seconds",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            e connects eve over json    => connected eve
            a types d on                => told
            b hears                     => ann types
            a types d on                => told
            b hears                     => nothing
            a hears                     => nothing
            a types d off               => told
            b hears                     => ann types no more
            e types d on                => error 102
            b hears                     => nothing
        ",
    },
    Scenario {
        name: "how far a member has read is told to the others, and to who opens the channel",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            e connects eve over json    => connected eve
            a sends d m1 one            => sent #1
            a sends d m2 two            => sent #2
            a hears 2                   => #1 ann m1 one; #2 ann m2 two
            b marks d 1                 => marked #1, 1 unread
            a hears                     => read bob #1
            a hears                     => nothing
            a enters d                  => opened, head #2, read #2, 2 online, ann #2, bob #1
            b marks d 2                 => marked #2, 0 unread
            a hears                     => read bob #2
            b enters d                  => opened, head #2, read #2, 2 online, ann #2, bob #2
            b exits d                   => closed
            e enters d                  => error 102
        ",
    },
    Scenario {
        name: "who watches is told who is there, of those it shares a channel with",
        lines: "
            a connects ann over json    => connected ann
            a watches bob eve           => bob offline, eve offline
            b connects bob over fb      => connected bob
            e connects eve over json    => connected eve
            a hears                     => presence bob online
            a hears                     => nothing
            a asks bob eve              => bob online, eve offline
            b drops                     => dropped
            a hears                     => nothing
            b2 connects bob over json   => connected bob
            a hears                     => nothing
            ann groups eve              => grouped
            a hears                     => Created ann
            a asks eve bob              => eve online, bob online
        ",
    },
    Scenario {
        name: "across a block nothing is sent and nobody is seen",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            a sends d m1 one            => sent #1
            a hears                     => #1 ann m1 one
            b hears                     => #1 ann m1 one
            a watches bob               => bob online
            bob blocks ann              => done
            a hears                     => presence bob offline
            a sends d m2 two            => error 117
            b sends d m3 three          => error 117
            a edits d 1 o1 0 uno        => error 117
            a reacts d 1 o2 👍          => error 117
            a sends d m1 one            => sent #1 duplicate
            a types d on                => told
            b hears                     => nothing
            a asks bob                  => bob offline
            b asks ann                  => ann offline
            a deletes d 1 o3            => deleted, revision 1
            bob unblocks ann            => done
            a sends d m2 two            => sent #2
            a asks bob                  => bob online
        ",
    },
    Scenario {
        name: "a device that is revoked ends with its session",
        lines: "
            a connects ann over json    => connected ann
            p connects ann over fb      => connected ann
            bob revokes a               => error 102
            ann revokes a               => done
            a ends                      => closed 3503
        ",
    },
];

pub(super) const SLOW_SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a user is offline a grace after its last device went, and not before",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            c connects bob over json    => connected bob
            a watches bob               => bob online
            b drops                     => dropped
            time passes 40000           => passed
            a hears                     => nothing
            c drops                     => dropped
            time passes 29000           => passed
            a hears                     => nothing
            time passes 2000            => passed
            a hears                     => presence bob offline
            a asks bob                  => bob offline
            b2 connects bob over json   => connected bob
            a hears                     => presence bob online
        ",
    },
    Scenario {
        name: "who comes back within the grace was never away",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            a watches bob               => bob online
            b drops                     => dropped
            time passes 28000           => passed
            b2 connects bob over json   => connected bob
            time passes 60000           => passed
            a hears                     => nothing
        ",
    },
    Scenario {
        name: "a user is away when nobody used its devices for five minutes",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            a watches bob               => bob online
            time passes 299000          => passed
            a hears                     => nothing
            time passes 3000            => passed
            a hears                     => presence bob away
            b asks bob                  => bob online
            a hears                     => presence bob online
        ",
    },
];
