module virtesx.invalid/peers/simproxy

go 1.21
