Console.Error.WriteLine("relay"); return 1;
