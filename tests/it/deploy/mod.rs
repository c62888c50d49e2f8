//! What is deployed, tried as far as it can be without a container engine: `compose.yaml`, the `Dockerfile` and nginx' file are
//! held against the program itself, and the shop that they describe is run: a real Redis with that very command and access
//! list, two real instances with that environment, a real nginx with that file before them.

mod acl;
mod backup;
mod compose;
mod dockerfile;
mod file;
mod kubernetes;
mod nginx;
mod rolling;
mod shop;
mod systemd;
