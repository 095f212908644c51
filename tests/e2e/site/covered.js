function used() { return 1 + 1; }
function unused() { return 2 + 2; }
used();
