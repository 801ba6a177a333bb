"""Tools of the developers: laboratory, benchmarks. Nothing here is part of the product."""
