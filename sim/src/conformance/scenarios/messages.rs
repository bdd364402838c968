//! Scenarios of changes to messages: edits, deletions, reactions, mentions, search.

use super::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an author edits its message from the newest revision on, once for each id",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            a sends d m1 one            => sent #1
            b hears                     => #1 ann m1 one
            a edits d 1 o1 0 uno        => edited, revision 1
            b hears                     => edited #1 ann m1 uno, revision 1
            a edits d 1 o1 0 uno        => edited, revision 1
            a edits d 1 o1 0 other      => error 121
            a edits d 1 o2 0 due        => error 122
            b edits d 1 o3 1 mine       => error 103
            a edits d 2 o4 0 none       => error 123
            a edits d 1 o5 1 x*100001   => error 116
            a edits 0 1 o6 0 none       => error 102
            a edits d 1 o7 1 가*100000   => edited, revision 2
            b hears                     => edited #1 ann m1 100000 characters, revision 2
            b hears                     => nothing
            b looks d newest 9          => [#1 ann m1 100000 characters, revision 2] head #1, first #1
        ",
    },
    Scenario {
        name: "a deleted message keeps its seq and nothing else, also for who comes back later",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over json    => connected bob
            b drops                     => dropped
            a sends d m1 one            => sent #1
            a sends d m2 two            => sent #2
            a reacts d 1 o1 👍          => reacted, 1
            a deletes d 1 o2            => deleted, revision 1
            a deletes d 1 o2            => deleted, revision 1
            a deletes d 1 o3            => deleted, revision 1
            a edits d 1 o4 1 again      => error 123
            a reacts d 1 o5 👍          => error 123
            b2 connects bob from b over fb => connected bob
            b2 hears                    => #1 ann m1, deleted, revision 1
            b2 hears 3                  => #2 ann m2 two; ann put 👍 at #1, 1; deleted #1, revision 1
            b2 hears                    => nothing
            b2 deletes d 2 o6           => error 103
            b2 looks d newest 9         => [#1 ann m1, deleted, revision 1, #2 ann m2 two] head #2, first #1
            node restarts               => restarted
            c connects ann over json    => connected ann
            c deletes d 1 o2            => deleted, revision 1
        ",
    },
    Scenario {
        name: "a group's owner deletes what others wrote, and who has left changes nothing",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over json    => connected bob
            ann groups bob eve          => grouped
            b sends g m1 one            => sent #1
            b sends g m2 two            => sent #2
            b edits g 2 o1 0 due        => edited, revision 1
            a deletes g 1 o2            => deleted, revision 1
            bob removes bob             => done
            b edits g 2 o1 0 due        => edited, revision 1
            b edits g 2 o3 1 tre        => error 103
            b deletes g 2 o4            => error 103
            b reacts g 2 o5 👍          => error 103
            a looks g newest 9          => [#1 bob m1, deleted, revision 1, #2 bob m2 due, revision 1] head #2, first #1
        ",
    },
    Scenario {
        name: "a reaction counts once for each user, however often it is put",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            e connects eve over json    => connected eve
            a sends d m1 one            => sent #1
            b hears                     => #1 ann m1 one
            a reacts d 1 o1 👍          => reacted, 1
            b hears                     => ann put 👍 at #1, 1
            b reacts d 1 o2 👍          => reacted, 2
            b hears                     => bob put 👍 at #1, 2
            b reacts d 1 o3 👍          => reacted, 2
            b reacts d 1 o4 🎉          => reacted, 1
            b hears                     => bob put 🎉 at #1, 1
            a unreacts d 1 o5 👍        => reacted, 1
            b hears                     => ann took 👍 at #1, 1
            a reacts d 1 o1 👍          => reacted, 1
            b hears                     => nothing
            a looks d newest 9          => [#1 ann m1 one, 👍 1, 🎉 1] head #1, first #1
            b looks d newest 9          => [#1 ann m1 one, 👍 1 mine, 🎉 1 mine] head #1, first #1
            a reacts d 1 o6 yes         => error 107
            a reacts d 2 o7 👍          => error 123
            e reacts d 1 o8 👍          => error 102
        ",
    },
    Scenario {
        name: "members are mentioned, and strangers are not",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over json    => connected bob
            a sends d m1 hello @bob     => sent #1
            a sends d m2 hello @eve     => error 107
            b hears                     => #1 ann m1 hello @bob
            b hears                     => nothing
        ",
    },
    Scenario {
        name: "messages are found by their words in either script, by those who may read them, as they are now",
        lines: "
            a connects ann over json    => connected ann
            e connects eve over json    => connected eve
            a sends d m1 good morning   => sent #1
            a sends d m2 안녕하세요 여러분 => sent #2
            a sends d m3 good night     => sent #3
            a finds night               => found [#3 good night]
            a searches good             => found [#3 good night, #1 good morning]
            a searches 안녕             => found [#2 안녕하세요 여러분]
            a searches good morning     => found [#1 good morning]
            a searches evening          => found []
            e searches good             => found []
            a edits d 1 o1 0 fine evening => edited, revision 1
            a finds evening             => found [#1 fine evening]
            a searches morning          => found []
            a deletes d 3 o2            => deleted, revision 1
            a loses night               => found []
            a searches x*201            => error 106
            a searches ?                => error 107
        ",
    },
];
