//! The `foundationdb` crate asks by macro which parts of the interface are there. At 730 the answer never varies.

/// Keeps what is guarded by a version that 730 satisfies, drops what was for versions before 6.1.
///
/// A guard that nobody uses yet does not compile, so that a new release of the crate is looked at.
#[macro_export]
macro_rules! if_cfg_api_versions {
    (min = 510, max = 600 => {$($then:tt)*} else {$($otherwise:tt)*}) => {{ $($otherwise)* }};
    (min = 510, max = 600 => $($then:tt)*) => {};
    (min = 620 => {$($then:tt)*} else {$($otherwise:tt)*}) => {{ $($then)* }};
    (min = 700 => $($then:tt)*) => { $($then)* };
    (min = 710 => $($then:tt)*) => { $($then)* };
    (min = 730 => {$($then:tt)*} else {$($otherwise:tt)*}) => {{ $($then)* }};
}
