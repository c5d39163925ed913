"""Facts as text, HTML and SVG: no arithmetic but rounding, no question of what a layer is."""
