"""How an elder is watched over: own limits of vital signs, times at home, a fence."""
