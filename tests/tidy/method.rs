//! A method has its four places: a schema in the catalogue, an example, a handler line, and an
//! end-to-end test that names it.
