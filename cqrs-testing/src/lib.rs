//! Conformance suites, given-when-then scenarios and fault tools for stores and services.
