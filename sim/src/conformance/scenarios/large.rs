//! Large channels: followed by their log by who has them open.

use super::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "who has a large channel open follows its log from any seq on, and goes on live",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            ann makes-large joined      => made
            ann adds bob to l           => done
            b hears                     => Added bob
            a sends l m1 one            => sent #1
            a sends l m2 two            => sent #2
            b enters l after 0          => opened, head #2, read #0, 1 online
            b hears 2                   => #1 ann m1 one; #2 ann m2 two
            a sends l m3 three          => sent #3
            b hears                     => #3 ann m3 three
            a edits l 2 o1 0 due        => edited, revision 1
            b hears                     => edited #2 ann m2 due, revision 1
            a reacts l 1 o2 👍          => reacted, 1
            b hears                     => ann put 👍 at #1, 1
            b drops                     => dropped
            a sends l m4 four           => sent #4
            node restarts               => restarted
            a2 connects ann over json   => connected ann
            b2 connects bob from b over json => connected bob
            b2 enters l after 3         => opened, head #4, read #0, 1 online
            b2 hears                    => #4 ann m4 four
            a2 sends l m5 five          => sent #5
            b2 hears                    => #5 ann m5 five
            b2 exits l                  => closed
        ",
    },
    Scenario {
        name: "who is removed from a large channel hears nothing of it from there on",
        lines: "
            a connects ann over json    => connected ann
            e connects eve over fb      => connected eve
            ann makes-large all         => made
            a sends l m1 one            => sent #1
            e enters l after 0          => error 102
            ann adds eve to l           => done
            e hears                     => Added eve
            e enters l after 0          => opened, head #1, read #1, 1 online
            e hears                     => #1 ann m1 one
            a sends l m2 two            => sent #2
            e hears                     => #2 ann m2 two
            ann removes eve from l      => done
            e hears                     => Removed eve
            a sends l m3 three          => sent #3
            e hears                     => nothing
            e sends l m4 four           => error 103
            e enters l after 0          => error 103
            e looks l newest 9          => [#1 ann m1 one, #2 ann m2 two] head #2, first #1
        ",
    },
];
