# The application that Starlet serves.
use strict;
use warnings;

my $generation = $ENV{SERVER_STARTER_GENERATION};

sub {
    [ 200, [ 'Content-Type' => 'text/plain' ], [ "generation $generation, pid $$\n" ] ];
};
