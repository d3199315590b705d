"""EtherCAT: slaves on a network interface of this computer, as ETG.1000 has them."""
