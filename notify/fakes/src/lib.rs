//! Stand-ins for the services that notifications go to, each on a port of loopback: they check what they are sent as
//! the real ones do, keep it for whoever asks, and misbehave as they are told.
