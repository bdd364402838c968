//! Connecting, sending, resuming, reading back, and what is no command.

use super::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a message is acknowledged and pushed to all sessions of both, in either encoding",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over fb      => connected bob
            a sends d m1 hello          => sent #1
            a hears                     => #1 ann m1 hello
            b hears                     => #1 ann m1 hello
            b sends d m2 안녕하세요      => sent #2
            a hears                     => #2 bob m2 안녕하세요
            b hears                     => #2 bob m2 안녕하세요
            a hears                     => nothing
            a echoes ping               => echoed ping
            b echoes ping               => echoed ping
        ",
    },
    Scenario {
        name: "the same id returns the first seq, whatever the encoding, and other content is refused",
        lines: "
            a connects ann over json    => connected ann
            p connects ann over fb      => connected ann
            a sends d m1 hello          => sent #1
            a sends d m1 hello          => sent #1 duplicate
            p sends d m1 hello          => sent #1 duplicate
            p sends d m1 other          => error 121
            a sends d m2 next           => sent #2
            a looks d after 0 10        => [#1 ann m1 hello, #2 ann m2 next] head #2, first #1
        ",
    },
    Scenario {
        name: "what was acknowledged is there after a crash, and a retry returns its seq",
        lines: "
            a connects ann over json    => connected ann
            a sends d m1 one            => sent #1
            a sends d m2 x*100000       => sent #2
            node restarts               => restarted
            b connects ann over fb      => connected ann
            b sends d m2 x*100000       => sent #2 duplicate
            b sends d m3 three          => sent #3
            b looks d newest 10         => [#1 ann m1 one, #2 ann m2 100000 characters, #3 ann m3 three] head #3, first #1
        ",
    },
    Scenario {
        name: "a device resumes from its cursor, in order, each once, and goes on into what happens live",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over json    => connected bob
            a sends d m1 one            => sent #1
            b hears                     => #1 ann m1 one
            b drops                     => dropped
            a sends d m2 two            => sent #2
            a sends d m3 three          => sent #3
            b2 connects bob from b over fb => connected bob
            b2 hears 2                  => #2 ann m2 two; #3 ann m3 three
            a sends d m4 four           => sent #4
            b2 hears                    => #4 ann m4 four
            b2 hears                    => nothing
            b2 drops                    => dropped
            node restarts               => restarted
            b3 connects bob from b over json => connected bob
            b3 hears 3                  => #2 ann m2 two; #3 ann m3 three; #4 ann m4 four
        ",
    },
    Scenario {
        name: "marks move forward, stop at the head, and are told to the account's own sessions",
        lines: "
            a connects ann over json    => connected ann
            b connects bob over json    => connected bob
            c connects bob over fb      => connected bob
            a sends d m1 one            => sent #1
            a sends d m2 two            => sent #2
            b hears 2                   => #1 ann m1 one; #2 ann m2 two
            c hears 2                   => #1 ann m1 one; #2 ann m2 two
            b marks d 1                 => marked #1, 1 unread
            b hears                     => read bob #1
            c hears                     => read bob #1
            b marks d 9                 => marked #2, 0 unread
            c hears                     => read bob #2
            c marks d 1                 => marked #2, 0 unread
            c hears                     => nothing
            b marks 0 1                 => error 102
        ",
    },
    Scenario {
        name: "history comes in windows, ascending",
        lines: "
            a connects ann over fb      => connected ann
            a sends d m1 1              => sent #1
            a sends d m2 2              => sent #2
            a sends d m3 3              => sent #3
            a sends d m4 4              => sent #4
            a sends d m5 5              => sent #5
            a looks d newest 2          => [#4 ann m4 4, #5 ann m5 5] head #5, first #1, more
            a looks d before 4 2        => [#2 ann m2 2, #3 ann m3 3] head #5, first #1, more
            a looks d before 3 9        => [#1 ann m1 1, #2 ann m2 2] head #5, first #1
            a looks d after 3 1         => [#4 ann m4 4] head #5, first #1, more
            a looks d after 5 9         => [] head #5, first #1
            a looks d around 3 3        => [#2 ann m2 2, #3 ann m3 3, #4 ann m4 4] head #5, first #1, more
            a looks 0 newest 9          => error 102
        ",
    },
    Scenario {
        name: "a stranger is told that there is no such channel",
        lines: "
            e connects eve over json    => connected eve
            e sends d m1 hello          => error 102
            e looks d newest 5          => error 102
            e marks d 1                 => error 102
            e hears                     => nothing
        ",
    },
    Scenario {
        name: "a member hears of a group from when it is added to when it is removed, also on resuming",
        lines: "
            b connects bob over json    => connected bob
            e connects eve over fb      => connected eve
            ann groups bob              => grouped
            b hears                     => Created ann
            b sends g m1 one            => sent #1
            b hears                     => #1 bob m1 one
            e sends g m2 outside        => error 102
            eve adds eve                => error 102
            bob adds eve                => error 103
            ann adds eve                => done
            b hears                     => Added eve
            e hears                     => Added eve
            b sends g m3 two            => sent #2
            e hears                     => #2 bob m3 two
            e looks g newest 9          => [#2 bob m3 two] head #2, first #2
            e drops                     => dropped
            ann removes eve             => done
            b sends g m4 three          => sent #3
            e2 connects eve from e over json => connected eve
            e2 hears                    => Removed eve
            e2 hears                    => nothing
            e2 sends g m5 late          => error 103
            e2 looks g newest 9         => [#2 bob m3 two] head #2, first #2
            bob removes bob             => done
            b sends g m3 two            => sent #2 duplicate
            b sends g m6 gone           => error 103
        ",
    },
    Scenario {
        name: "limits are errors, and the session stays",
        lines: "
            a opens json                => open
            a echoes early              => error 101
            a connects ann              => connected ann
            a sends d m1 x*100001       => error 116
            a sends d old:m2 hello      => error 124
            a sends d ahead:m3 hello    => error 124
            a sends 0 m4 hello          => error 102
            a echoes x*4097             => error 106
            a connects ann              => error 107
            a sends d m5 가*100000       => sent #1
            a hears                     => #1 ann m5 100000 characters
        ",
    },
    Scenario {
        name: "what does not parse is an error without a number, and the twentieth in a row ends the session",
        lines: r#"
            a opens json                => open
            a says not json             => said
            a waits 0                   => error 107
            a says {"id":7,"dance":{}}  => said
            a waits 7                   => error 104
            a says {"id":8,"echo":{}}   => said
            a waits 8                   => error 107
            a connects ann              => connected ann
            a repeats 19 ?              => said
            a echoes still              => echoed still
            a repeats 20 ?              => said
            a ends                      => closed 3509
        "#,
    },
    Scenario {
        name: "a cursor that is none, or of another store, is refused, and one may connect without",
        lines: "
            a opens json                => open
            a resumes ann nonsense      => error 112
            a resumes ann elsewhere     => error 112
            a connects ann              => connected ann
            b opens fb                  => open
            b resumes bob elsewhere     => error 112
            b connects bob              => connected bob
        ",
    },
    Scenario {
        name: "a session takes a new token of its own account and no other",
        lines: "
            a opens json                => open
            a refreshes ann             => error 101
            a connects ann              => connected ann
            a refreshes ann             => refreshed
            a refreshes bob             => error 101
            a echoes still              => echoed still
        ",
    },
    Scenario {
        name: "the other encoding's frame type ends a session",
        lines: "
            a connects ann over json    => connected ann
            a says-bytes 0000           => said
            a ends                      => closed 3501
            b connects bob over fb      => connected bob
            b says hello                => said
            b ends                      => closed 3501
        ",
    },
    Scenario {
        name: "a message over 2 MiB ends a session",
        lines: "
            a connects ann over json    => connected ann
            a says x*2097153            => said
            a ends                      => closed 1009
            b connects ann over json    => connected ann
        ",
    },
    Scenario {
        name: "a wrong token ends the session, and nobody else's",
        lines: "
            b connects bob over json    => connected bob
            a opens json                => open
            a presents wrong            => error 101
            a ends                      => closed 3500
            c opens fb                  => open
            c presents wrong            => error 101
            c ends                      => closed 3500
            b echoes still              => echoed still
        ",
    },
    Scenario {
        name: "a device that connects elsewhere takes the place of its older session",
        lines: "
            a connects ann over json    => connected ann
            a2 connects ann over fb     => connected ann
            a ends                      => closed 3505
            a2 sends d m1 hello         => sent #1
            a2 hears                    => #1 ann m1 hello
        ",
    },
];
